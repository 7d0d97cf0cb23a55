package aws_test

import (
	"context"
	"crypto/rand"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/aws"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/awstest"
	"rekey/internal/secret"
)

const prefix = "rotation/aws/secret-key/"

// The server of these tests.
var (
	api       *awstest.Cloud
	authority *targettest.Authority
)

func TestMain(m *testing.M) {
	targettest.Main(m, func(site *targettest.Site) (err error) {
		// What the SDK could find around it must not matter.
		for _, name := range []string{"HTTPS_PROXY", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_IAM"} {
			if err := os.Setenv(name, "http://127.0.0.1:1"); err != nil {
				return err
			}
		}
		authority = site.Authority
		api, err = awstest.Start(site)
		return err
	})
}

func TestItKeepsThePromisesOfATarget(t *testing.T) {
	other, err := targettest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	value := func(name, value string) func(targettest.Account) {
		return func(a targettest.Account) { a.Values[name] = value }
	}
	elsewhere := strings.Replace(api.URL, "localhost", "127.0.0.1", 1)
	targettest.Issuing{
		Kind:   aws.Kind(),
		Server: "a server of our own that checks SigV4 and does what AWS documents; no cloud",
		Without: targettest.Without{
			targettest.RefusedValue:   "the cloud makes the key",
			targettest.AdminPrivilege: "a user changes its own keys",
			targettest.StatementLog:   "a server of our own has none",
		},
		Modes:    []targettest.Mode{targettest.Self},
		Account:  api.Account,
		Full:     true,
		Endpoint: "iam-endpoint",
		Untrusted: map[string]targettest.Elsewhere{
			"an authority that did not sign": targettest.Fails(value("ca", other.PEM), target.Refused, "unknown authority"),
			"another host's certificate":     targettest.Fails(func(a targettest.Account) { a.Annotations[prefix+"iam-endpoint"] = elsewhere }, target.Refused, "another host"),
		},
		Elsewhere: map[string]targettest.Elsewhere{
			"an authority that is none": targettest.Fails(value("ca", "trust me"), target.Refused, "PEM"),
		},
		Hostile: map[string]targettest.Elsewhere{
			"a region that is none": targettest.Fails(value("region", "../eu"), target.Refused, "eu-central-1"),
		},
	}.Run(t)
}

func bind(t *testing.T, annotations map[string]string, region string) target.Target {
	t.Helper()
	var d net.Dialer
	made, err := aws.Kind().Bind(target.Binding{Annotations: annotations, Dial: d.DialContext, Rand: rand.Reader,
		Values: map[string]secret.Bytes{"ca": secret.FromString(authority.PEM), "region": secret.FromString(region)}})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestEachPartitionHasItsEndpoints(t *testing.T) {
	for region, want := range map[string]string{
		"eu-central-1":   "iam.amazonaws.com:443 with sts.eu-central-1.amazonaws.com:443",
		"cn-north-1":     "iam.cn-north-1.amazonaws.com.cn:443 with sts.cn-north-1.amazonaws.com.cn:443",
		"us-gov-west-1":  "iam.us-gov.amazonaws.com:443 with sts.us-gov-west-1.amazonaws.com:443",
		"us-iso-east-1":  "iam.us-iso-east-1.c2s.ic.gov:443 with sts.us-iso-east-1.c2s.ic.gov:443",
		"eusc-de-east-1": "iam.eusc-de-east-1.amazonaws.eu:443 with sts.eusc-de-east-1.amazonaws.eu:443",
	} {
		if got := bind(t, nil, region).Identity(); !strings.HasPrefix(got, want+" aws region "+region) {
			t.Errorf("%s: %s, want %s", region, got, want)
		}
	}
}

func TestWhatTheAPISaysHasAClass(t *testing.T) {
	a := api.Account(t, targettest.IssuingAsk{})
	made := bind(t, a.Annotations, "eu-central-1")
	create := func(ctx context.Context) error { _, err := made.Apply(ctx, a.Current, nil); return err }
	list := func(ctx context.Context) error {
		_, err := made.(target.Surveyor).Survey(ctx, a.Current)
		return err
	}
	login := func(ctx context.Context) error { return made.Probe(ctx, a.Current) }
	for _, test := range []struct {
		action  string
		call    func(context.Context) error
		status  int
		code    string
		message string
		class   target.Class
		words   string
	}{
		{"CreateAccessKey", create, 400, "Throttling", "Rate exceeded", target.Unreachable, "cannot do it now"},
		{"CreateAccessKey", create, 409, "EntityTemporarilyUnmodifiable", "", target.Unreachable, "cannot do it now"},
		{"CreateAccessKey", create, 500, "ServiceFailure", "", target.Uncertain, "500"},
		{"CreateAccessKey", create, 503, "ServiceUnavailable", "", target.Uncertain, "503"},
		{"CreateAccessKey", create, 409, "LimitExceeded", "", target.Refused, "no room"},
		{"CreateAccessKey", create, 200, "ok", "", target.Uncertain, "protocol"},
		{"CreateAccessKey", create, 302, "", "", target.Refused, "redirects are not followed"},
		{"ListAccessKeys", list, 403, "AccessDenied", "", target.Refused, "iam:ListAccessKeys"},
		{"ListAccessKeys", list, 500, "ServiceFailure", "", target.Unreachable, "500"},
		{"ListAccessKeys", list, 403, "SignatureDoesNotMatch", "Signature expired: 20261122T000000Z is now earlier than 20261123T000000Z", target.Refused, "clock"},
		{"GetCallerIdentity", login, 403, "SignatureDoesNotMatch", "", target.AuthFailed, "does not accept"},
		{"GetCallerIdentity", login, 400, "RequestExpired", "", target.Refused, "clock"},
		{"GetCallerIdentity", login, 400, "Throttling", "", target.Unreachable, "cannot do it now"},
		{"GetCallerIdentity", login, 418, "Teapot", "", target.Refused, "418"},
	} {
		api.Lock()
		api.Say = func(action string) (int, string, string) {
			if action == test.action {
				return test.status, test.code, test.message
			}
			return 0, "", ""
		}
		api.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		err := test.call(ctx)
		cancel()
		if target.ClassOf(err) != test.class || err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s answers %d %s: %v, want %v with %q", test.action, test.status, test.code, err, test.class, test.words)
		}
	}
	api.Lock()
	api.Say = nil
	api.Unlock()
	if keys := a.Keys(); len(keys) != 1 {
		t.Errorf("the user has %d keys", len(keys))
	}
}

func TestAKeyOfASessionIsRefused(t *testing.T) {
	made := bind(t, map[string]string{prefix + "sts-endpoint": api.URL, prefix + "ca": "ca"}, "eu-central-1")
	err := made.Probe(t.Context(), target.Credential{target.Main: secret.FromString("x"), aws.KeyID: secret.FromString("ASIAIOSFODNN7EXAMPLE")})
	if target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), "session") {
		t.Error(err)
	}
}
