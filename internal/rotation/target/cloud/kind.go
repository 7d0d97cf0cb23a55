// Package cloud is what the kinds of targets share whose credentials are issued by the
// API of a cloud: their annotations, the HTTPS requests that they make, and what has to
// be remembered to recognise a key that was issued while its answer was lost.
//
// The annotations, below the kind's own prefix, such as rotation/aws/secret-key/ca:
//
//	ca           the variable with the authority to trust, instead of the system's
//	...-endpoint where an API is, instead of the public one: https://host or
//	             https://host:port
//	lost-keys    "report" (the default), or "delete": what becomes of a key that came
//	             into being while an answer was lost. See Intent
//
// A variable is named by its name in the folder of the rotated one, or by its identifier
// after a slash.
//
// It imports target, transport and secret only.
package cloud

import (
	"errors"
	"io"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/transport"
	"rekey/internal/secret"
)

// Kind makes targets of one kind.
type Kind struct {
	Kind     string                                           // such as "aws/secret-key"
	Settings map[string]func(string) error                    // annotations beside ca; nil accepts any text
	Pairs    [][2]string                                      // annotations of which either is nothing without the other
	Beside   func(settings map[string]string) target.Siblings // beside ca
	Open     func(Place) (target.Target, error)               // errors as those of target.Kind's Bind
}

// Place is what a target is opened from.
type Place struct {
	Settings map[string]string       // the kind's annotations, by what follows its prefix
	Values   map[string]secret.Bytes // as in target.Binding
	Client   *Client
	Rand     io.Reader
}

var (
	_ target.Kind    = Kind{}
	_ target.Lasting = Kind{}
)

const ca = "ca"

// Name is part of target.Kind.
func (k Kind) Name() string { return k.Kind }

// Lasts is part of target.Lasting: clouds keep two keys, and need a while until a new one
// is known everywhere.
func (k Kind) Lasts() bool { return true }

func (k Kind) prefix() string { return "rotation/" + k.Kind + "/" }

func (k Kind) settings(annotations map[string]string) map[string]string {
	own := map[string]string{}
	for name, value := range annotations {
		if short, ok := strings.CutPrefix(name, k.prefix()); ok {
			own[short] = value
		}
	}
	return own
}

// Check is part of target.Kind.
func (k Kind) Check(annotations map[string]string) []target.Problem {
	var problems []target.Problem
	settings := k.settings(annotations)
	known := append(slices.Collect(maps.Keys(k.Settings)), ca)
	slices.Sort(known)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		problem := target.Problem{Annotation: k.prefix() + name}
		if !slices.Contains(known, name) {
			problem.Message, problem.Advice = "no such annotation", "there are "+strings.Join(known, ", ")
		} else if check := k.Settings[name]; check != nil {
			if err := check(settings[name]); err != nil {
				problem.Message, problem.Advice = err.Error(), "correct it or leave it out"
			}
		}
		if problem.Message != "" {
			problems = append(problems, problem)
		}
	}
	for _, pair := range k.Pairs {
		if (settings[pair[0]] == "") != (settings[pair[1]] == "") {
			problems = append(problems, target.Problem{Annotation: k.prefix() + pair[0], Message: "it is nothing without " + pair[1], Advice: "name both variables, or none"})
		}
	}
	return problems
}

// Siblings is part of target.Kind.
func (k Kind) Siblings(annotations map[string]string) target.Siblings {
	settings := k.settings(annotations)
	s := k.Beside(settings)
	if name := settings[ca]; name != "" {
		s.Reads = append(s.Reads, name)
	}
	return s
}

// Bind is part of target.Kind.
func (k Kind) Bind(b target.Binding) (target.Target, error) {
	if problems := k.Check(b.Annotations); len(problems) > 0 {
		p := problems[0]
		return nil, target.Errorf(target.Refused, nil, "annotation %s: %s: %s", p.Annotation, p.Message, p.Advice)
	}
	for _, name := range k.Siblings(b.Annotations).Reads {
		if bare, optional := strings.CutSuffix(name, "?"); !optional && b.Values[bare].Len() == 0 {
			return nil, target.Errorf(target.Refused, nil, "variable %s beside the key has no value: set it", bare)
		}
	}
	settings := k.settings(b.Annotations)
	client, err := newClient(b.Dial, b.Values[settings[ca]])
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "variable %s: %s", settings[ca], err)
	}
	return k.Open(Place{Settings: settings, Values: b.Values, Client: client, Rand: b.Rand})
}

// ParseEndpoint reads https://host or https://host:port, and gives it with its port.
func ParseEndpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("it must be https://host or https://host:port, and no more")
	}
	return &url.URL{Scheme: "https", Host: u.Host}, nil
}

// CheckEndpoint is ParseEndpoint for Kind.Settings.
func CheckEndpoint(text string) error {
	_, err := ParseEndpoint(text)
	return err
}

// Address is the host and port of an endpoint.
func Address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// Security describes how the server of a place is verified, for target.Target's Identity.
func (c *Client) Security() string { return c.security.String() }

func newClient(dial target.Dial, authority secret.Bytes) (*Client, error) {
	security, err := transport.NewSecurity(transport.VerifyFull, authority)
	return &Client{dial: dial, security: security}, err
}
