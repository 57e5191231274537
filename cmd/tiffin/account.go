package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/tiffin-food/tiffin/internal/console"
	identityapi "github.com/tiffin-food/tiffin/internal/identity/api"
)

type accountCmd struct {
	Create  accountCreateCmd  `cmd:"" help:"Register an account; its password is read from the first line of the input."`
	List    accountListCmd    `cmd:"" help:"List accounts."`
	Disable accountDisableCmd `cmd:"" help:"Disable an account: its sessions end."`
	Enable  accountEnableCmd  `cmd:"" help:"Enable an account again."`
}

type accountCreateCmd struct {
	remote
	Email      string   `arg:"" help:"The e-mail address to sign in with."`
	Name       string   `help:"The person's name."`
	Role       []string `help:"What the person is: customer, kitchen, courier, operator." enum:"customer,kitchen,courier,operator" required:""`
	Customer   string   `help:"Of the role customer: the customer's id."`
	Restaurant []string `help:"Of the role kitchen: the restaurants' ids."`
	Courier    string   `help:"Of the role courier: the courier's id at the transport company."`
}

func (c *accountCreateCmd) Run(e *env) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprint(e.err, "Password, at least 10 characters: ")
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && line == "" {
		return errors.New("the input has no password")
	}
	body := map[string]any{"email": c.Email, "password": strings.TrimRight(line, "\r\n"), "roles": c.Role}
	for name, value := range map[string]string{"name": c.Name, "customer": c.Customer, "courier": c.Courier} {
		if value != "" {
			body[name] = value
		}
	}
	if len(c.Restaurant) > 0 {
		body["restaurants"] = c.Restaurant
	}
	var made identityapi.Account
	if _, err := api.Do(e.ctx, http.MethodPost, "/v1/accounts", "", body, &made); err != nil {
		return err
	}
	if c.JSON {
		return console.JSON(e.out, made)
	}
	_, err = fmt.Fprintf(e.out, "registered %s as %s\n", made.Email, made.ID)
	return err
}

type accountListCmd struct{ remote }

func (c *accountListCmd) Run(e *env) error {
	all, err := listed[identityapi.Account](e, c.remote, "/v1/accounts?limit=100")
	if err != nil {
		return err
	}
	if c.JSON {
		return console.JSON(e.out, all)
	}
	rows := make([][]string, len(all))
	for i, a := range all {
		roles := make([]string, len(a.Roles))
		for j, r := range a.Roles {
			roles[j] = string(r)
		}
		state := e.paint.Good("good")
		if a.Disabled {
			state = e.paint.Bad("disabled")
		}
		rows[i] = []string{a.ID, a.Email, a.Name, strings.Join(roles, " "), state}
	}
	return console.Table(e.out, e.paint, []string{"id", "e-mail", "name", "roles", "state"}, rows)
}

type accountDisableCmd struct {
	remote
	ID string `arg:"" help:"The account's id, as the list shows it."`
}

func (c *accountDisableCmd) Run(e *env) error { return disable(e, c.remote, c.ID, true) }

type accountEnableCmd struct {
	remote
	ID string `arg:"" help:"The account's id, as the list shows it."`
}

func (c *accountEnableCmd) Run(e *env) error { return disable(e, c.remote, c.ID, false) }

func disable(e *env, r remote, id string, disabled bool) error {
	api, err := r.client()
	if err != nil {
		return err
	}
	var now identityapi.Account
	if _, err := api.Do(e.ctx, http.MethodPatch, "/v1/accounts/"+url.PathEscape(id), "", map[string]any{"disabled": disabled}, &now); err != nil {
		return err
	}
	if r.JSON {
		return console.JSON(e.out, now)
	}
	state := "enabled"
	if now.Disabled {
		state = "disabled"
	}
	_, err = fmt.Fprintf(e.out, "%s %s\n", state, now.Email)
	return err
}
