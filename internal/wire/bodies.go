package wire

import "time"

// Names of the services: in URLs, in the registry and on the command line.
const (
	OrderService    = "order"
	PaymentService  = "payment"
	CustomerService = "customer"
	DeliveryService = "delivery"
	KitchenService  = "kitchen"
	IdentityService = "identity"
)

// Names of the partner companies.
const (
	CardCompany      = "card"
	TransportCompany = "transport"
	Restaurant       = "restaurant"
)

// OrderQueue is the queue of the order service, and the receiver that it names in its metadata.
const OrderQueue = "OrderService"

// Receivers are the names that metadata may name as receiver: the services' queues.
var Receivers = []string{OrderQueue, "PaymentService", "CustomerService", "DeliveryService", "KitchenService"}

// DemoRestaurant is where an order goes that names no restaurant. Its orders use the original bodies exactly.
const DemoRestaurant = "0190a000-0000-7000-8000-000000000001"

// Item is a line of an order.
type Item struct {
	Product  string `json:"product" minLength:"1" maxLength:"200" doc:"A product of the restaurant's menu"`
	Quantity int    `json:"quantity,omitempty" minimum:"1" maximum:"1000" default:"1"`
}

// Metadata travels with every command and comes back with every status.
type Metadata struct {
	_          struct{} `additionalProperties:"true"`
	Receiver   string   `json:"receiver" doc:"The queue that gets the statuses"`
	OrderID    string   `json:"order_id" format:"uuid"`
	CustomerID string   `json:"customer_id" format:"uuid"`
}

// Address is where a customer lives. Position is ours.
type Address struct {
	Name     string    `json:"name" maxLength:"200"`
	Street   string    `json:"street" maxLength:"500"`
	Zipcode  string    `json:"zipcode" maxLength:"50"`
	City     string    `json:"city" maxLength:"200"`
	Position *Position `json:"position,omitempty" doc:"Where it is in the city, if known"`
}

// Moment is a status and when the order reached it.
type Moment struct {
	Status Status    `json:"status"`
	When   time.Time `json:"when"`
}

// Order is an order as its API shows it.
type Order struct {
	ID              string    `json:"id" format:"uuid"`
	Status          Status    `json:"status"`
	Created         time.Time `json:"created"`
	CustomerID      string    `json:"customer_id" format:"uuid"`
	KitchenID       *string   `json:"kitchen_id" format:"uuid"`
	DeliveryID      *string   `json:"delivery_id" format:"uuid"`
	Items           []Item    `json:"items"`
	RestaurantID    string    `json:"restaurant_id" format:"uuid"`
	Total           Money     `json:"total"`
	History         []Moment  `json:"history"`
	Reason          string    `json:"reason,omitempty" doc:"Why it was cancelled"`
	CancelRequested bool      `json:"cancel_requested,omitempty" doc:"A cancel was asked for and its answer is still out"`
	Settled         bool      `json:"settled" doc:"Final, the payment's outcome known, any refund through, nothing owed"`
}

// PaymentRequest is the body of POST /v1/payments and /v1/payments/reimburse. Amount is ours.
type PaymentRequest struct {
	_        struct{} `additionalProperties:"true"`
	Items    []Item   `json:"items" minItems:"1"`
	Metadata Metadata `json:"metadata"`
	Amount   *Decimal `json:"amount,omitempty" doc:"What to charge, in Euros; the customer service's price where it is missing"`
}

// PaymentAnswer is the answer to both.
type PaymentAnswer struct {
	Status  string `json:"status"`
	OrderID string `json:"order_id" format:"uuid"`
}

// PaymentCallback is what the card company reports. Amount and Currency are ours: what was charged or given back.
type PaymentCallback struct {
	_             struct{} `additionalProperties:"true"`
	Status        Status   `json:"status" enum:"pending,paymentPaid,paymentFailed,reimbursed"`
	CallerID      string   `json:"caller_id" format:"uuid" doc:"The order"`
	TransactionID string   `json:"transaction_id" minLength:"1" maxLength:"100"`
	Amount        *Decimal `json:"amount,omitempty" doc:"What was charged or given back"`
	Currency      string   `json:"currency,omitempty" maxLength:"10" doc:"ISO 4217 code"`
}

// BillingInfo is how a customer pays. Ours never holds a real number or CVV: the card number is masked, the CVV is
// empty, and Token is what the card company knows the card by.
type BillingInfo struct {
	_              struct{} `additionalProperties:"true"`
	CVV            string
	Bank           string
	Name           string
	Expiry         string
	Address        string
	Country        string
	MoneyRange     string
	CardNumber     string
	IssuingNetwork string
	Token          string `json:"token,omitempty"`
}

// Billing is the customer service's answer to POST /v1/customers/{id}/billing.
type Billing struct {
	Amount      Decimal     `json:"amount"`
	BillingInfo BillingInfo `json:"billing_info"`
}

// Trip is what a delivery or a kitchen needs to know beside the original bodies, for other than demo restaurants.
type Trip struct {
	RestaurantID string     `json:"restaurant_id,omitempty" format:"uuid"`
	Pickup       *Position  `json:"pickup,omitempty"`
	Dropoff      *Position  `json:"dropoff,omitempty"`
	ReadyAt      *time.Time `json:"ready_at,omitempty" doc:"When the meal will be ready if it is begun now"`
}

// DeliveryRequest is the body of POST /v1/deliveries.
type DeliveryRequest struct {
	_        struct{} `additionalProperties:"true"`
	Items    []Item   `json:"items" minItems:"1"`
	Metadata Metadata `json:"metadata"`
	Address  Address  `json:"address"`
	Trip
}

// DeliveryAnswer is the answer.
type DeliveryAnswer struct {
	DeliveryID string    `json:"delivery_id" format:"uuid"`
	Scheduled  time.Time `json:"scheduled"`
	Status     Status    `json:"status"`
	Items      []Item    `json:"items"`
	Metadata   Metadata  `json:"metadata"`
}

// DeliveryCallback is what the transport company reports. CourierID is ours.
type DeliveryCallback struct {
	_          struct{} `additionalProperties:"true"`
	Status     Status   `json:"status" enum:"driverAvailable,inTransit,delivered"`
	DeliveryID string   `json:"delivery_id" format:"uuid"`
	CourierID  string   `json:"courier_id,omitempty" maxLength:"100" doc:"Who drives, for driverAvailable; the courier then sees the delivery"`
}

// KitchenRequest is the body of POST /v1/kitchen.
type KitchenRequest struct {
	_        struct{} `additionalProperties:"true"`
	Items    []Item   `json:"items" minItems:"1"`
	Metadata Metadata `json:"metadata"`
	Trip
}

// KitchenAnswer is the answer.
type KitchenAnswer struct {
	KitchenID string    `json:"kitchen_id" format:"uuid"`
	Scheduled time.Time `json:"scheduled"`
	Status    Status    `json:"status"`
	Items     []Item    `json:"items"`
	Metadata  Metadata  `json:"metadata"`
}

// KitchenCallback is what the restaurant reports.
type KitchenCallback struct {
	_         struct{} `additionalProperties:"true"`
	Status    Status   `json:"status" enum:"cookingMeal,cookingDone,pickedUp"`
	KitchenID string   `json:"kitchen_id" format:"uuid"`
}

// StatusMessage is the body of every message on a service's queue. Reason is ours: kitchen and delivery send
// orderCancelled with it when their company will not do it.
type StatusMessage struct {
	Status     Status   `json:"status"`
	Metadata   Metadata `json:"metadata"`
	DeliveryID string   `json:"delivery_id,omitempty"`
	KitchenID  string   `json:"kitchen_id,omitempty"`
	Reason     string   `json:"reason,omitempty"`
}

// MenuItem is a product that a restaurant sells.
type MenuItem struct {
	Product   string `json:"product"`
	Price     Money  `json:"price"`
	Available bool   `json:"available"`
	Prep      int    `json:"prep_minutes,omitempty" doc:"Minutes from the kitchen's start until it is ready"`
}

// RestaurantCard is a restaurant as the kitchen's API lists it.
type RestaurantCard struct {
	ID       string    `json:"id" format:"uuid"`
	Name     string    `json:"name"`
	Position *Position `json:"position,omitempty"`
}

// MenuChanged is the domain event that the kitchen publishes for every change of a menu; Version orders them.
type MenuChanged struct {
	Restaurant RestaurantCard `json:"restaurant"`
	Version    int64          `json:"version"`
	Items      []MenuItem     `json:"items"`
}

// MenuTopic is the routing key of MenuChanged on the topic exchange.
const MenuTopic = "restaurant.menuChanged"

// OrderEvent is the domain event that the order service publishes on the topic exchange when an order takes a status.
type OrderEvent struct {
	OrderID      string    `json:"order_id"`
	CustomerID   string    `json:"customer_id"`
	RestaurantID string    `json:"restaurant_id"`
	Status       Status    `json:"status"`
	When         time.Time `json:"when"`
	Total        Money     `json:"total"`
	Reason       string    `json:"reason,omitempty"` // why it was cancelled
}

// OrderTopic and a status make the routing key of an OrderEvent, such as "order.paymentPaid".
const OrderTopic = "order."
