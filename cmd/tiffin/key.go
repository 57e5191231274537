package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/console"
	identityapi "github.com/tiffin-food/tiffin/internal/identity/api"
)

type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Make a key. It is printed once, on a line of its own."`
	List   keyListCmd   `cmd:"" help:"List the keys, without their secrets."`
	Revoke keyRevokeCmd `cmd:"" help:"Revoke a key, within a second and for good."`
}

type keyCreateCmd struct {
	remote
	Name    string        `arg:"" help:"Whose key it is, for the list."`
	Scope   []string      `help:"What it may do: operator, operator:read, partner:card, partner:transport, partner:restaurant, service:NAME, gateway." required:""`
	Expires time.Duration `help:"How long it is good, such as 720h; for ever if nothing is said."`
}

func (c *keyCreateCmd) Run(e *env) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	body := map[string]any{"name": c.Name, "scopes": c.Scope}
	if c.Expires != 0 {
		body["expires"] = time.Now().Add(c.Expires).UTC().Truncate(time.Second)
	}
	var made identityapi.NewAPIKey
	if _, err := api.Do(e.ctx, http.MethodPost, "/v1/keys", "", body, &made); err != nil {
		return err
	}
	if c.JSON {
		return console.JSON(e.out, made)
	}
	_, _ = fmt.Fprintf(e.err, "Key %s of %s. Keep it now: it is not shown again.\n", made.ID, made.Name)
	_, err = fmt.Fprintln(e.out, made.Text)
	return err
}

type keyListCmd struct{ remote }

func (c *keyListCmd) Run(e *env) error {
	all, err := listed[identityapi.APIKey](e, c.remote, "/v1/keys?limit=100")
	if err != nil {
		return err
	}
	if c.JSON {
		return console.JSON(e.out, all)
	}
	rows := make([][]string, len(all))
	for i, k := range all {
		scopes := make([]string, len(k.Scopes))
		for j, s := range k.Scopes {
			scopes[j] = string(s)
		}
		state := e.paint.Good("good")
		switch {
		case k.RevokedAt != nil:
			state = e.paint.Bad("revoked " + k.RevokedAt.Format(time.DateTime))
		case k.Expires != nil && k.Expires.Before(time.Now()):
			state = e.paint.Bad("over since " + k.Expires.Format(time.DateTime))
		case k.Expires != nil:
			state = e.paint.Good("until " + k.Expires.Format(time.DateTime))
		}
		rows[i] = []string{k.ID, k.Name, strings.Join(scopes, " "), k.Created.Format(time.DateTime), k.By, state}
	}
	return console.Table(e.out, e.paint, []string{"id", "name", "scopes", "made", "by", "state"}, rows)
}

type keyRevokeCmd struct {
	remote
	ID string `arg:"" help:"The key's id, as the list shows it."`
}

func (c *keyRevokeCmd) Run(e *env) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	if _, err := api.Do(e.ctx, http.MethodDelete, "/v1/keys/"+url.PathEscape(c.ID), "", nil, nil); err != nil {
		return err
	}
	if c.JSON {
		return console.JSON(e.out, map[string]string{"revoked": c.ID})
	}
	_, err = fmt.Fprintf(e.out, "revoked %s\n", c.ID)
	return err
}
