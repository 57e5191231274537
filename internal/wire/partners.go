package wire

import "time"

// BillingRequest is the body of POST {card}/billings. CallerID is the order.
type BillingRequest struct {
	CallerID    string      `json:"caller_id"`
	Amount      Decimal     `json:"amount"`
	Currency    string      `json:"currency"`
	BillingInfo BillingInfo `json:"billing_info"`
}

// RefundRequest is the body of POST {card}/billings/reimburse.
type RefundRequest struct {
	CallerID      string  `json:"caller_id"`
	TransactionID string  `json:"transaction_id"`
	Amount        Decimal `json:"amount"`
	Currency      string  `json:"currency"`
}

// BillingState is the card company's answer to either, and to GET {card}/billings/{caller_id}.
type BillingState struct {
	CallerID      string  `json:"caller_id"`
	TransactionID string  `json:"transaction_id"`
	Status        Status  `json:"status"` // pending, paymentPaid, paymentFailed, reimbursed
	Amount        Decimal `json:"amount"`
}

// TransportRequest is the body of POST {transport}/delivery-requests.
type TransportRequest struct {
	DeliveryID string   `json:"delivery_id"`
	Items      []Item   `json:"items"`
	Metadata   Metadata `json:"metadata"`
	Address    Address  `json:"address"`
	Trip
}

// TransportState is the transport company's answer, and to GET {transport}/delivery-requests/{delivery_id}.
// Statuses are those called back so far, in their order.
type TransportState struct {
	DeliveryID string     `json:"delivery_id"`
	Cancelled  bool       `json:"cancelled"`
	Statuses   []Status   `json:"statuses"`
	Courier    string     `json:"courier,omitempty"`
	Arrival    *time.Time `json:"arrival,omitempty"`
}

// CookingRequest is the body of POST {restaurant}/cooking-requests.
type CookingRequest struct {
	KitchenID string   `json:"kitchen_id"`
	Items     []Item   `json:"items"`
	Metadata  Metadata `json:"metadata"`
	Trip
}

// CookingState is the restaurant's answer, and to GET {restaurant}/cooking-requests/{kitchen_id}.
type CookingState struct {
	KitchenID string   `json:"kitchen_id"`
	Cancelled bool     `json:"cancelled"`
	Statuses  []Status `json:"statuses"`
}
