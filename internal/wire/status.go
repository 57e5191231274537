package wire

// Status is how far an order is, as every service and partner names it.
type Status string

// The statuses of an order, in their legal order; see the order package for which may follow which.
const (
	Created           Status = "created"
	PaymentPaid       Status = "paymentPaid"
	PaymentFailed     Status = "paymentFailed"
	DeliveryScheduled Status = "deliveryScheduled"
	DriverAvailable   Status = "driverAvailable"
	CookingScheduled  Status = "cookingScheduled"
	CookingMeal       Status = "cookingMeal"
	CookingDone       Status = "cookingDone"
	PickedUp          Status = "pickedUp"
	InTransit         Status = "inTransit"
	Delivered         Status = "delivered"
	OrderCancelled    Status = "orderCancelled"
	Reimbursed        Status = "reimbursed"
)

// Pending is what the card company answers while it has not decided; it is no status of an order.
const Pending Status = "pending"

// Statuses lists every status of an order, in their legal order with the ends last.
var Statuses = []Status{
	Created, PaymentPaid, DeliveryScheduled, DriverAvailable, CookingScheduled, CookingMeal, CookingDone,
	PickedUp, InTransit, Delivered, PaymentFailed, OrderCancelled, Reimbursed,
}

// Known reports whether s is a status of an order.
func (s Status) Known() bool {
	for _, known := range Statuses {
		if s == known {
			return true
		}
	}
	return false
}

// StatusNames are the statuses as words.
func StatusNames() []string {
	names := make([]string, len(Statuses))
	for i, s := range Statuses {
		names[i] = string(s)
	}
	return names
}
