package api

import (
	"context"
	"net/http"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/identity"
)

type (
	passwordInput struct {
		Body struct {
			Old string `json:"old" maxLength:"128" kept:"hashed"`
			New string `json:"new" minLength:"10" maxLength:"128" kept:"hashed"`
		}
	}
	becomeInput   struct{ Body Becoming }
	registerInput struct {
		Body struct {
			Email       string      `json:"email" format:"email" maxLength:"254"`
			Password    string      `json:"password" minLength:"10" maxLength:"128" kept:"hashed"`
			Name        string      `json:"name,omitempty" maxLength:"200"`
			Roles       []auth.Role `json:"roles,omitempty" enum:"customer,kitchen,courier,operator" maxItems:"4"`
			Customer    string      `json:"customer,omitempty" format:"uuid" doc:"The role customer needs it"`
			Restaurants []string    `json:"restaurants,omitempty" maxItems:"20" format:"uuid" doc:"The role kitchen needs one"`
			Courier     string      `json:"courier,omitempty" maxLength:"100" doc:"The role courier needs it"`
		}
	}
	accountInput struct {
		ID string `path:"id" format:"uuid"`
	}
	accountsInput  struct{ httpapi.Page }
	accountsOutput struct {
		httpapi.Linked
		Body []Account
	}
	changeInput struct {
		ID   string `path:"id" format:"uuid"`
		Body struct {
			Roles       []auth.Role `json:"roles,omitempty" enum:"customer,kitchen,courier,operator" maxItems:"4"`
			Customer    *string     `json:"customer,omitempty" maxLength:"36" doc:"Empty: none"`
			Restaurants []string    `json:"restaurants,omitempty" maxItems:"20" format:"uuid"`
			Courier     *string     `json:"courier,omitempty" maxLength:"100" doc:"Empty: none"`
			Disabled    *bool       `json:"disabled,omitempty"`
		}
	}
)

func (s *Service) ownAccount(a *httpapi.API) {
	tags := []string{"own account"}
	httpapi.Register(a, auth.SignedIn, httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/me", OperationID: "me", Tags: tags, Summary: "One's own account", Errors: []int{404},
	}, s.me)
	httpapi.Register(a, auth.SignedIn, httpapi.Operation{
		Method: http.MethodPut, Path: "/v1/me/password", OperationID: "change-password", Tags: tags, DefaultStatus: 204,
		Summary: "Change the password", Description: "All sessions end, this one too: sign in again.", Errors: []int{404, 409, 422, 503},
	}, s.changePassword)
	httpapi.Register(a, auth.SignedIn, httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/me/customer", OperationID: "become-customer", Tags: tags, DefaultStatus: 201,
		Summary:     "Become a customer",
		Description: "For who signs in elsewhere, and for who was not answered. The next tokens have the role.",
		Errors:      []int{404, 409, 422, 503},
	}, s.become)
}

func (s *Service) allAccounts(a *httpapi.API) {
	tags := []string{"accounts"}
	httpapi.Register(a, operators, httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/accounts", OperationID: "register-account", Tags: tags, DefaultStatus: 201,
		Summary: "Register an account", Errors: []int{409, 422, 503},
	}, s.registerAccount)
	httpapi.Register(a, operators, httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/accounts", OperationID: "list-accounts", Tags: tags, Summary: "List accounts, highest id first",
	}, s.listAccounts)
	httpapi.Register(a, operators, httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/accounts/{id}", OperationID: "get-account", Tags: tags, Summary: "Get an account", Errors: []int{404},
	}, s.getAccount)
	httpapi.Register(a, operators, httpapi.Operation{
		Method: http.MethodPatch, Path: "/v1/accounts/{id}", OperationID: "change-account", Tags: tags,
		Summary:     "Change what an account may do",
		Description: "What is left out stays. Its sessions end; an access token already given is good until it is over.",
		Errors:      []int{404, 409, 422},
	}, s.changeAccount)
}

// own is the account of who asks.
func (s *Service) own(ctx context.Context) (identity.Account, error) {
	id, ok := identity.AccountOf(auth.From(ctx))
	if !ok {
		return identity.Account{}, httpapi.Errorf(http.StatusNotFound, "a key has no account: sign in")
	}
	a, err := s.accounts.View(ctx, id)
	return a.State, err
}

// ownNow is own where that may still do something: an access token lives a little longer than its account's rights.
func (s *Service) ownNow(ctx context.Context) (identity.Account, error) {
	a, err := s.own(ctx)
	if err == nil && a.Disabled {
		return a, auth.ErrForbidden
	}
	return a, err
}

func (s *Service) me(ctx context.Context, _ *struct{}) (*accountOutput, error) {
	a, err := s.own(ctx)
	if err != nil {
		return nil, err
	}
	return &accountOutput{view(a)}, nil
}

func (s *Service) changePassword(ctx context.Context, in *passwordInput) (*struct{}, error) {
	a, err := s.ownNow(ctx)
	if err != nil {
		return nil, err
	}
	if a.Password == "" {
		return nil, durable.Refuse(durable.Conflict, "the account has no password: it signs in elsewhere")
	}
	if why := guessable(a.Email, in.Body.New); why != "" {
		return nil, invalid("body.new", why)
	}
	right, _, err := s.mill.check(ctx, a.Password, in.Body.Old)
	if err != nil {
		return nil, err
	}
	if !right {
		return nil, invalid("body.old", "not the password")
	}
	phc, err := s.mill.hash(ctx, in.Body.New)
	if err != nil {
		return nil, err
	}
	_, err = s.accounts.Apply(ctx, a.ID, durable.Event{
		Type: identity.EventPassword, Hash: a.ID, Value: identity.Password{Old: a.Password, New: phc},
	})
	if err != nil {
		return nil, err
	}
	s.log.Info("password changed", "account", a.ID)
	return nil, nil
}

func (s *Service) become(ctx context.Context, in *becomeInput) (*accountOutput, error) {
	a, err := s.ownNow(ctx)
	if err != nil {
		return nil, err
	}
	return s.join(ctx, a.ID, in.Body.join())
}

func (s *Service) registerAccount(ctx context.Context, in *registerInput) (*accountOutput, error) {
	email, ok := identity.NormalEmail(in.Body.Email)
	if !ok {
		return nil, invalid("body.email", "not an e-mail address")
	}
	if why := guessable(email, in.Body.Password); why != "" {
		return nil, invalid("body.password", why)
	}
	phc, err := s.mill.hash(ctx, in.Body.Password)
	if err != nil {
		return nil, err
	}
	a, err := s.begin(ctx, identity.Account{
		Email: email, Password: phc, Name: in.Body.Name, Roles: in.Body.Roles, Customer: in.Body.Customer,
		Restaurants: in.Body.Restaurants, Courier: in.Body.Courier,
	})
	if err != nil {
		return nil, err
	}
	s.log.Info("account registered", "account", a.ID, "by", auth.From(ctx).Subject, "roles", a.Roles)
	return &accountOutput{view(a)}, nil
}

func (s *Service) listAccounts(ctx context.Context, in *accountsInput) (*accountsOutput, error) {
	states, records, err := s.accounts.List(ctx, "", in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &accountsOutput{Body: make([]Account, len(states))}
	for i, a := range states {
		out.Body[i] = view(a.State)
	}
	if len(records) == in.Limit {
		out.Linked = in.Next(records[len(records)-1].ID)
	}
	return out, nil
}

func (s *Service) getAccount(ctx context.Context, in *accountInput) (*accountOutput, error) {
	a, err := s.accounts.View(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &accountOutput{view(a.State)}, nil
}

func (s *Service) changeAccount(ctx context.Context, in *changeInput) (*accountOutput, error) {
	by := auth.From(ctx).Subject
	a, err := s.accounts.Apply(ctx, in.ID, durable.Event{Type: identity.EventChange, Hash: in.ID, Value: identity.Change{
		By: by, Roles: in.Body.Roles, Restaurants: in.Body.Restaurants, Courier: in.Body.Courier,
		Customer: in.Body.Customer, Disabled: in.Body.Disabled,
	}})
	if err != nil {
		return nil, err
	}
	s.log.Info("account changed", "account", in.ID, "by", by, "roles", a.State.Roles, "disabled", a.State.Disabled)
	return &accountOutput{view(a.State)}, nil
}
