package app

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/webhook"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Companies are how the outside companies and the services know each other, and where the companies may be.
type Companies struct {
	CardSecret       string `help:"What the card company and the payment service sign with: whsec_ and the base64 of 24 to 64 random bytes. While it is exchanged the new one and the old one, with a comma between. One of this run's own for a simulated company in the same process." placeholder:"whsec_…"`
	TransportSecret  string `help:"What the transport company and the delivery service sign with." placeholder:"whsec_…"`
	RestaurantSecret string `help:"What the restaurants and the kitchen service sign with." placeholder:"whsec_…"`

	Callbacks string `help:"How the companies show who they are when they call back: by their signature, by an API key of the scope partner:COMPANY as in the original system, or by either." enum:"signature,key,either" default:"signature"`

	PartnerNetworks []string `help:"Networks beside the public Internet in which the companies may be: loopback, private, or such as 10.1.0.0/16. No proxy of the environment is used for them." placeholder:"NETWORK,…"`
}

// The ways in which companies show who they are.
const (
	bySignature = "signature"
	byKey       = "key"
)

// company is one outside company, the service that speaks with it, and the setting of their secret.
type company struct {
	name, service, setting string
	secret                 func(Companies) string
}

var companies = []company{
	{wire.CardCompany, wire.PaymentService, "card-secret", func(c Companies) string { return c.CardSecret }},
	{wire.TransportCompany, wire.DeliveryService, "transport-secret", func(c Companies) string { return c.TransportSecret }},
	{wire.Restaurant, wire.KitchenService, "restaurant-secret", func(c Companies) string { return c.RestaurantSecret }},
}

const validSecret = "expected whsec_ and the base64 of 24 to 64 random bytes, such as openssl rand -base64 32 prints"

// mode is how companies show who they are.
func (c Companies) mode() string {
	if c.Callbacks == "" {
		return bySignature
	}
	return c.Callbacks
}

// checkCompanies says which setting of the companies is wrong.
func (c Companies) checkCompanies() error {
	var errs []error
	if m := c.mode(); !slices.Contains([]string{bySignature, byKey, "either"}, m) {
		errs = append(errs, fmt.Errorf("callbacks: %.20q is not valid; expected signature, key or either", m))
	}
	whose := map[string]string{} // setting by secret
	for _, of := range companies {
		given := of.secret(c)
		if given == "" {
			continue
		}
		if _, err := webhook.ParseSecrets(given); err != nil {
			errs = append(errs, fmt.Errorf("%s: not valid: %w", of.setting, err))
		}
		for one := range strings.SplitSeq(given, ",") {
			one = strings.TrimSpace(one)
			if other, taken := whose[one]; taken && other != of.setting {
				errs = append(errs, fmt.Errorf("%s: the same as %s; expected a secret of its own for each company", of.setting, other))
			}
			whose[one] = of.setting
		}
	}
	_, err := c.networks()
	return errors.Join(append(errs, err)...)
}

// networks are those in which companies may be.
func (c Companies) networks() (all []netip.Prefix, err error) {
	for _, text := range c.PartnerNetworks {
		switch text {
		case "loopback":
			all = append(all, httpapi.Loopback...)
		case "private":
			all = append(all, httpapi.Private...)
		default:
			p, err := netip.ParsePrefix(text)
			if err != nil || p != p.Masked() || p.Bits() == 0 || p.Addr().Is4In6() {
				return nil, fmt.Errorf("partner-networks: %.50q is not valid; expected loopback, private, or a network such as 10.1.0.0/16", text)
			}
			all = append(all, p)
		}
	}
	return all, nil
}

// CheckSecrets says which secret is missing to serve units in a process of their own.
func (c Companies) CheckSecrets(units []string) error {
	simulated := slices.Contains(units, Partners)
	if simulated && c.mode() == byKey {
		return errKeyless
	}
	var errs []error
	for _, of := range companies {
		if of.secret(c) == "" && (simulated || c.mode() == bySignature && slices.Contains(units, of.service)) {
			errs = append(errs, of.missing())
		}
	}
	return errors.Join(errs...)
}

func (of company) missing() error {
	return fmt.Errorf("%s: missing; %s, the same for the %s service and the company it speaks with", of.setting, validSecret, of.service)
}

var errKeyless = errors.New("callbacks: key is not valid where the companies are simulated, they sign; expected signature or either")

// secrets are those of the companies that a system of these services needs. A company that is simulated in the same
// process as its service, and was given none, gets one that nobody else will know.
func (c Config) secrets(names []string) (map[string][]webhook.Secret, error) {
	all := map[string][]webhook.Secret{}
	if c.Partners && c.mode() == byKey {
		return nil, errKeyless
	}
	var errs []error
	for _, of := range companies {
		given, served := of.secret(c.Companies), slices.Contains(names, of.service)
		switch {
		case given != "":
			s, err := webhook.ParseSecrets(given)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", of.setting, err)
			}
			all[of.name] = s
		case c.Partners && served:
			var b [32]byte
			_, _ = rand.Read(b[:]) // it never fails
			s, err := webhook.NewSecret(b[:])
			if err != nil {
				return nil, err
			}
			all[of.name] = []webhook.Secret{s}
		case c.Partners, served && c.mode() == bySignature:
			errs = append(errs, of.missing())
		}
	}
	return all, errors.Join(errs...)
}

// tolerance is how far by the clock a signature may be from now: what is agreed with others is real time, however fast
// the clock runs.
func (s *System) tolerance() time.Duration {
	return time.Duration(float64(webhook.Tolerance) * max(1, s.cfg.Speed))
}

// sign signs as a company, or as its service, does; nil where they have no secret.
func (s *System) sign(name string) func(string, []byte) http.Header {
	secrets := s.secrets[name]
	if len(secrets) == 0 {
		return nil
	}
	return func(id string, body []byte) http.Header { return webhook.Headers(secrets, id, s.Clock.Now(), body) }
}

// outside is how the services call the companies.
func (s *System) outside() map[string]httpapi.Outside {
	all := map[string]httpapi.Outside{}
	for _, of := range companies {
		all[of.name] = httpapi.Outside{Transport: s.outer, Sign: s.sign(of.name)}
	}
	return all
}

// inside is how the simulated companies call the services.
func (s *System) inside() map[string]httpapi.Outside {
	all := map[string]httpapi.Outside{}
	for _, of := range companies {
		all[of.service] = httpapi.Outside{Sign: s.sign(of.name)}
	}
	return all
}

// verifier verifies what a simulated company is asked.
func (s *System) verifier(name string) *webhook.Verifier {
	return &webhook.Verifier{Secrets: s.secrets[name], Now: s.Clock.Now, Tolerance: s.tolerance()}
}

// authenticator is what finds out who makes a request to a service: the one company that speaks with it by its
// signature, whoever else by what next finds.
func (s *System) authenticator(service string, next auth.Authenticator) auth.Authenticator {
	i := slices.IndexFunc(companies, func(c company) bool { return c.service == service })
	if i < 0 || s.cfg.mode() == byKey {
		return next
	}
	name := companies[i].name
	return webhook.Authenticator{
		Next: next, Secrets: map[string][]webhook.Secret{name: s.secrets[name]}, Now: s.Clock.Now, Tolerance: s.tolerance(),
		SignedOnly: s.cfg.mode() == bySignature,
	}
}
