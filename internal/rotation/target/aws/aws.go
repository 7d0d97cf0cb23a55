// Package aws rotates the access key of an IAM user of Amazon Web Services: kind
// aws/secret-key.
//
// The rotated variable holds the secret access key. Beside it, variable access_key_id is
// read and written together with it, and region is read: it says in which partition the
// user is, and where a new key is tried. The user changes its own keys, and needs
// iam:ListAccessKeys, iam:CreateAccessKey and iam:DeleteAccessKey on itself.
//
// Annotations iam-endpoint and sts-endpoint name private endpoints; ca and lost-keys are
// those of package cloud. A user has at most two keys. One is current, the other the
// previous one until it is retired: a key of anybody else's is never deleted, and keeps
// the rotation from going on.
//
// The requests are made by the SDK, without its retries: it would repeat one whose answer
// is lost, and make a second key.
//
// It imports target, cloud and secret.
package aws

import (
	"context"
	"net/http"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	endpoints "github.com/aws/smithy-go/endpoints"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/cloud"
)

// KeyID is the variable that is written together with the secret access key.
const KeyID = "access_key_id"

const (
	regionName  = "region"
	iamEndpoint = "iam-endpoint"
	stsEndpoint = "sts-endpoint"
)

// Kind is aws/secret-key.
func Kind() target.Kind {
	return cloud.Kind{
		Kind: "aws/secret-key",
		Settings: map[string]func(string) error{
			iamEndpoint: cloud.CheckEndpoint, stsEndpoint: cloud.CheckEndpoint, cloud.LostKeys: cloud.CheckLostKeys,
		},
		Beside: func(map[string]string) target.Siblings {
			return target.Siblings{Reads: []string{regionName}, Writes: []string{KeyID}}
		},
		Open: open,
	}
}

// user is an IAM user, of whom nothing is known but a key.
type user struct {
	region  string
	iam     endpoint[iam.EndpointParameters]
	sts     endpoint[sts.EndpointParameters]
	client  *cloud.Client
	deletes bool // keys that were lost
}

var (
	_ target.Target   = (*user)(nil)
	_ target.Surveyor = (*user)(nil)
)

var regions = regexp.MustCompile(`^[a-z]+(-[a-z]+)+-[0-9]+$`)

func open(p cloud.Place) (target.Target, error) {
	u := &user{region: strings.TrimSpace(p.Values[regionName].RevealString()), client: p.Client, deletes: p.Settings[cloud.LostKeys] == cloud.Delete}
	if !regions.MatchString(u.region) {
		return nil, target.Errorf(target.Refused, nil, "variable region holds no name of a region, such as eu-central-1")
	}
	var err error
	public := iam.EndpointParameters{Region: &u.region}.WithDefaults()
	if u.iam, err = locate(iam.NewDefaultEndpointResolverV2().ResolveEndpoint, public, p.Settings[iamEndpoint]); err != nil {
		return nil, err
	}
	u.sts, err = locate(sts.NewDefaultEndpointResolverV2().ResolveEndpoint, sts.EndpointParameters{Region: &u.region}.WithDefaults(), p.Settings[stsEndpoint])
	return u, err
}

// endpoint is where an API is, and for which region requests to it are signed; P are the
// parameters of its resolver.
type endpoint[P any] struct{ endpoints.Endpoint }

// ResolveEndpoint is what the SDK asks.
func (e endpoint[P]) ResolveEndpoint(context.Context, P) (endpoints.Endpoint, error) {
	return e.Endpoint, nil
}

func (e endpoint[P]) address() string { return cloud.Address(&e.URI) }

// locate finds the endpoint of a region, and puts the one that was named in its place.
func locate[P any](resolve func(context.Context, P) (endpoints.Endpoint, error), of P, named string) (endpoint[P], error) {
	e, err := resolve(context.Background(), of)
	if err != nil {
		return endpoint[P]{}, target.Errorf(target.Refused, err, "there is no endpoint for the region that variable region names")
	}
	if named != "" {
		u, err := cloud.ParseEndpoint(named)
		if err != nil {
			return endpoint[P]{}, target.Errorf(target.Refused, err, "an endpoint: %s", err)
		}
		e.URI = *u
	}
	return endpoint[P]{e}, nil
}

// Identity is part of target.Target. Which user it is follows from the key.
func (u *user) Identity() string {
	return u.iam.address() + " with " + u.sts.address() + " aws region " + u.region + " " + u.client.Security()
}

// Resets is part of target.Resetter: a user's keys are replaced by one that works.
func (u *user) Resets() bool { return false }

// Candidate is part of target.Target: AWS makes the keys.
func (u *user) Candidate(target.Credential) (target.Credential, error) { return nil, nil }

// wire makes requests for the SDK, and remembers how one failed: the SDK hides that from
// its caller when the time is over.
type wire struct {
	client *cloud.Client
	failed error
}

// Do is what the SDK asks.
func (w *wire) Do(r *http.Request) (*http.Response, error) {
	var answer *http.Response
	answer, w.failed = w.client.Do(r)
	return answer, w.failed
}

// keys signs requests to IAM with a key.
func (u *user) keys(c target.Credential) (*iam.Client, *wire, error) {
	provider, err := static(c)
	w := &wire{client: u.client}
	return iam.New(iam.Options{
		Region: u.region, EndpointResolverV2: u.iam, Credentials: provider, HTTPClient: w, Retryer: aws.NopRetryer{}, AppID: cloud.Agent,
	}), w, err
}

// logins signs requests to STS with a key.
func (u *user) logins(c target.Credential) (*sts.Client, *wire, error) {
	provider, err := static(c)
	w := &wire{client: u.client}
	return sts.New(sts.Options{
		Region: u.region, EndpointResolverV2: u.sts, Credentials: provider, HTTPClient: w, Retryer: aws.NopRetryer{}, AppID: cloud.Agent,
	}), w, err
}
