package app

import (
	customerapi "github.com/tiffin-food/tiffin/internal/customer/api"
	deliveryapi "github.com/tiffin-food/tiffin/internal/delivery/api"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	identityapi "github.com/tiffin-food/tiffin/internal/identity/api"
	"github.com/tiffin-food/tiffin/internal/identity/token"
	kitchenapi "github.com/tiffin-food/tiffin/internal/kitchen/api"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
	paymentapi "github.com/tiffin-food/tiffin/internal/payment/api"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// OpenAPI is a service's document, made without running it.
func OpenAPI(name, version string) ([]byte, error) {
	if err := CheckServices([]string{name}); err != nil {
		return nil, err
	}
	a := describe(name, version)
	identity, err := identityapi.New(identityapi.Options{Signer: new(token.Signer)})
	if err != nil {
		return nil, err
	}
	map[string]func(*httpapi.API){
		wire.IdentityService: identity.Routes,
		wire.OrderService:    orderapi.New(orderapi.Options{}).Routes,
		wire.PaymentService:  paymentapi.New(paymentapi.Options{}).Routes,
		wire.CustomerService: customerapi.New(customerapi.Options{}).Routes,
		wire.DeliveryService: deliveryapi.New(deliveryapi.Options{}).Routes,
		wire.KitchenService:  kitchenapi.New(kitchenapi.Options{}).Routes,
	}[name](a)
	return a.OpenAPI()
}

func describe(name, version string) *httpapi.API {
	return httpapi.New(httpapi.Options{
		Name: titles[name].name, Title: "Tiffin " + titles[name].name, Version: version, Description: titles[name].about,
	})
}
