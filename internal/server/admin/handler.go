package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

// operations are the use cases that an operator may ask for.
type operations struct{ core *core.Core }

// Handler serves the API on a core. It asks for no credentials: whoever reaches it
// is the operator.
func Handler(c *core.Core) http.Handler {
	o := operations{c}
	mux := http.NewServeMux()
	mux.Handle("POST "+pathListAccounts, operation(o.listAccounts))
	mux.Handle("POST "+pathCreateAccount, operation(o.createAccount))
	mux.Handle("POST "+pathWeighAccount, operation(o.weighAccount))
	mux.Handle("POST "+pathDeleteAccount, operation(o.deleteAccount))
	mux.Handle("POST "+pathRotateSigning, operation(o.rotateSigningKey))
	mux.Handle("POST "+pathRetrieveKey, operation(o.retrieveKey))
	mux.Handle("POST "+pathResetPassword, operation(o.resetPassword))
	mux.Handle("POST "+pathLoadRootPolicy, operation(o.loadPolicy))
	mux.Handle("POST "+pathRehearsePolicy, operation(o.rehearsePolicy))
	mux.HandleFunc("POST "+pathBackup, o.backup)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.CatchUp(r.Context()); err != nil {
			refuse(w, err)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// operation serves a function from one JSON object to another.
func operation[In, Out any](use func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		err := json.NewDecoder(r.Body).Decode(&in)
		if err != nil {
			err = fault.New(fault.BadRequest, "the request is not JSON: %v", err)
		}
		var answer any
		if err == nil {
			answer, err = use(r.Context(), in)
		}
		if err != nil {
			refuse(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // fails when the command has gone away; there is nobody to tell
	}
}

func refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnprocessableEntity)
	_ = json.NewEncoder(w).Encode(describe(err)) // as above
}

func describe(err error) problem {
	p := problem{Kind: fault.KindOf(err), Message: err.Error()}
	var known *fault.Error
	if errors.As(err, &known) {
		p.Advice, p.Line, p.Column = known.Advice, known.Line, known.Column
	}
	return p
}

func (o operations) listAccounts(ctx context.Context, _ struct{}) (Accounts, error) {
	names, err := o.core.Accounts(ctx, core.Operator())
	return Accounts{names}, err
}

func (o operations) createAccount(ctx context.Context, in Name) (Account, error) {
	var password *secret.Bytes
	if in.Password != nil {
		s := secret.FromString(*in.Password)
		password = &s
	}
	key, err := o.core.CreateAccount(ctx, core.Operator(), in.Name, password)
	if err != nil {
		return Account{}, err
	}
	public, err := o.core.SigningPublicKey(in.Name)
	answer := Account{Name: in.Name, PublicKey: string(public)}
	if password == nil {
		answer.APIKey = key.RevealString()
	}
	return answer, err
}

// weighAccount counts what the account's admin sees, which is everything, and asks
// what an empty root policy would destroy.
func (o operations) weighAccount(ctx context.Context, in Name) (weight Weight, err error) {
	lost, err := o.rehearsePolicy(ctx, Policy{in.Name, []byte("# nothing")})
	if err != nil {
		return Weight{}, err
	}
	weight.Values = lost.Count
	admin := core.Caller{Role: ident.New(in.Name, "user", "admin")}
	for _, kind := range [...]string{"user", "host", "group", "layer"} {
		n, err := o.core.CountResources(ctx, admin, core.ResourceQuery{Account: in.Name, Kind: kind})
		if err != nil {
			return Weight{}, err
		}
		weight.Roles += n
	}
	return weight, nil
}

func (o operations) deleteAccount(ctx context.Context, in Name) (struct{}, error) {
	return struct{}{}, o.core.DeleteAccount(ctx, core.Operator(), in.Name)
}

func (o operations) rotateSigningKey(ctx context.Context, in Name) (Key, error) {
	id, err := o.core.RotateSigningKey(ctx, core.Operator(), in.Name)
	return Key{id}, err
}

func (o operations) retrieveKey(ctx context.Context, in Name) (Key, error) {
	role, err := o.role(ctx, in.Name)
	if err != nil {
		return Key{}, err
	}
	key, err := o.core.RetrieveKey(ctx, core.Operator(), role)
	return Key{key.RevealString()}, err
}

func (o operations) resetPassword(ctx context.Context, in Name) (Key, error) {
	role, err := o.role(ctx, in.Name)
	if err != nil {
		return Key{}, err
	}
	if in.Password == nil {
		return Key{}, fault.New(fault.Argument, "the new password is missing")
	}
	key, err := o.core.ResetPassword(ctx, core.Operator(), role, secret.FromString(*in.Password))
	return Key{key.RevealString()}, err
}

func (o operations) loadPolicy(ctx context.Context, in Policy) (Loaded, error) {
	loaded, err := o.core.LoadPolicy(ctx, core.Operator(), ident.New(in.Account, "policy", "root"), core.Replace, in.Text)
	if err != nil {
		return Loaded{}, err
	}
	answer := Loaded{CreatedRoles: map[string]CreatedRole{}, Version: loaded.Version, Warnings: loaded.Warnings}
	for _, role := range loaded.Created {
		created := CreatedRole{ID: string(role.ID)}
		if role.APIKey.Len() > 0 {
			key := role.APIKey.RevealString()
			created.APIKey = &key
		}
		answer.CreatedRoles[created.ID] = created
	}
	return answer, nil
}

func (o operations) rehearsePolicy(ctx context.Context, in Policy) (LostValues, error) {
	report, err := o.core.RehearsePolicy(ctx, core.Operator(), ident.New(in.Account, "policy", "root"), core.Replace, in.Text)
	if err != nil {
		return LostValues{}, err
	}
	lost := LostValues{Count: report.Values.Count}
	for _, id := range report.Values.IDs {
		lost.Variables = append(lost.Variables, string(id))
	}
	return lost, nil
}

// role reads the full id of a role. For a short one it suggests the full ids of
// the roles that might be meant.
func (o operations) role(ctx context.Context, text string) (ident.ID, error) {
	id, err := ident.Parse(text)
	if err == nil {
		return id, nil
	}
	refused := fault.New(fault.Argument, "'%s' is not the full id of a role", text)
	refused.Advice = "write account:kind:identifier"
	accounts, err := o.core.Accounts(ctx, core.Operator())
	if err != nil {
		return "", err
	}
	var found []string
	for _, account := range accounts {
		candidates := []ident.ID{ident.FromLogin(account, text), ident.New(account, "host", text)}
		if strings.Contains(text, ":") {
			candidates = []ident.ID{ident.ID(account + ":" + text)}
		}
		// The operator is no role that sees others; the account's admin sees them.
		admin := core.Caller{Role: ident.New(account, "user", "admin")}
		for _, candidate := range candidates {
			if _, err := o.core.Role(ctx, admin, candidate); err == nil {
				found = append(found, string(candidate))
			}
		}
	}
	if len(found) > 0 {
		refused.Advice = fmt.Sprintf("did you mean %s?", strings.Join(found, " or "))
	}
	return "", refused
}
