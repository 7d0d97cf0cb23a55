package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"rekey/internal/fault"
)

// Client asks for operations, wherever they are carried out. Its errors are of the
// vocabulary and of the same kinds as those of the use cases.
type Client struct{ transport http.RoundTripper }

// ListAccounts returns the names of all accounts.
func (c *Client) ListAccounts(ctx context.Context) ([]string, error) {
	answer, err := call[Accounts](ctx, c, pathListAccounts, struct{}{})
	return answer.Accounts, err
}

// CreateAccount makes an account; its admin gets the password, if there is one.
func (c *Client) CreateAccount(ctx context.Context, name string, password *string) (Account, error) {
	return call[Account](ctx, c, pathCreateAccount, Name{name, password})
}

// WeighAccount counts what DeleteAccount would destroy.
func (c *Client) WeighAccount(ctx context.Context, name string) (Weight, error) {
	return call[Weight](ctx, c, pathWeighAccount, Name{Name: name})
}

// DeleteAccount removes an account and all that is in it.
func (c *Client) DeleteAccount(ctx context.Context, name string) error {
	_, err := call[struct{}](ctx, c, pathDeleteAccount, Name{Name: name})
	return err
}

// RotateSigningKey gives an account a new signing key and returns its id.
func (c *Client) RotateSigningKey(ctx context.Context, account string) (string, error) {
	answer, err := call[Key](ctx, c, pathRotateSigning, Name{Name: account})
	return answer.Key, err
}

// RetrieveKey returns the API key of a role; one that can have a key and has none
// gets one.
func (c *Client) RetrieveKey(ctx context.Context, role string) (string, error) {
	answer, err := call[Key](ctx, c, pathRetrieveKey, Name{Name: role})
	return answer.Key, err
}

// ResetPassword sets a user's password and replaces its API key, which it returns.
func (c *Client) ResetPassword(ctx context.Context, role, password string) (string, error) {
	answer, err := call[Key](ctx, c, pathResetPassword, Name{role, &password})
	return answer.Key, err
}

// LoadPolicy replaces the account's root policy.
func (c *Client) LoadPolicy(ctx context.Context, account string, text []byte) (Loaded, error) {
	return call[Loaded](ctx, c, pathLoadRootPolicy, Policy{account, text})
}

// RehearsePolicy tells which values LoadPolicy would destroy, and changes nothing.
func (c *Client) RehearsePolicy(ctx context.Context, account string, text []byte) (LostValues, error) {
	return call[LostValues](ctx, c, pathRehearsePolicy, Policy{account, text})
}

func call[Out, In any](ctx context.Context, c *Client, path string, in In) (out Out, err error) {
	response, err := c.ask(ctx, path, in)
	if err != nil {
		return out, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return out, refusal(response)
	}
	answer, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(answer, &out)
	}
	return out, fault.Wrap(err, "reading the answer")
}

// ask sends a request; the caller closes the body of the answer.
func (c *Client) ask(ctx context.Context, path string, in any) (*http.Response, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fault.Wrap(err, "writing the request")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://rekey"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fault.Wrap(err, "writing the request")
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Unavailable, Message: "the server does not answer on its socket: " + err.Error(), Cause: err,
			Advice: "look whether it is being stopped, and try again"}
	}
	return response, nil
}

// refusal is the error that an answer is.
func refusal(response *http.Response) error {
	if response.StatusCode == http.StatusForbidden { // OnlyOperator's
		e := fault.New(fault.Forbidden, "the server refuses to be administered by this user")
		e.Advice = "run the command as the user whom the server runs as, or as root"
		return e
	}
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fault.Wrap(err, "reading the answer")
	}
	return refused(answer, response.Status)
}

func refused(answer []byte, status string) error {
	var p problem
	if json.Unmarshal(answer, &p) == nil && p.Message != "" {
		return &fault.Error{Kind: p.Kind, Message: p.Message, Advice: p.Advice, Line: p.Line, Column: p.Column}
	}
	return fault.New(fault.Internal, "the server answered on its socket: %s %s", status, bytes.TrimSpace(answer))
}
