package aws

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/cloud"
	"rekey/internal/secret"
)

// ids have no blanks, of which an intent relies.
var ids = regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`)

// static are credentials as the SDK takes them.
func static(c target.Credential) (aws.CredentialsProvider, error) {
	id, key := c[KeyID].RevealString(), c[target.Main].RevealString()
	switch {
	case key == "":
		return nil, target.Errorf(target.Refused, nil, "the secret access key has no value: set it")
	case id == "":
		return nil, target.Errorf(target.Refused, nil, "variable %s beside the key has no value: set it", KeyID)
	case !ids.MatchString(id):
		return nil, target.Errorf(target.Refused, nil, "variable %s holds no id of an access key, such as AKIAIOSFODNN7EXAMPLE", KeyID)
	case strings.HasPrefix(id, "ASIA"):
		return nil, target.Errorf(target.Refused, nil, "variable %s holds a key of a session, which ends by itself: use one of an IAM user", KeyID)
	case strings.ContainsAny(key, "\x00\r\n"):
		return nil, target.Errorf(target.Refused, nil, "the secret access key has a line break or NUL in it: set it without")
	}
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: key}, nil
	}), nil
}

// listed is a key as ListAccessKeys tells it.
type listed struct {
	id   string
	made time.Time
}

// list are the user's keys, and the time of the API.
func (u *user) list(ctx context.Context, by target.Credential) ([]listed, time.Time, error) {
	client, w, err := u.keys(by)
	if err != nil {
		return nil, time.Time{}, err
	}
	// A user has two keys at most, so there is one page.
	out, err := client.ListAccessKeys(ctx, &iam.ListAccessKeysInput{})
	if err != nil {
		return nil, time.Time{}, cloud.Unchanged(w.failure(u.iam.address(), err))
	}
	var all []listed
	for _, m := range out.AccessKeyMetadata {
		k := listed{id: aws.ToString(m.AccessKeyId), made: aws.ToTime(m.CreateDate)}
		if !ids.MatchString(k.id) {
			return nil, time.Time{}, target.Errorf(target.Refused, nil, "%s lists keys whose ids cannot be read", u.iam.address())
		}
		all = append(all, k)
	}
	now, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
	if !ok {
		now = time.Now()
	}
	return all, now, nil
}

// Survey is part of target.Surveyor. It refuses at once if there is no room for a key.
func (u *user) Survey(ctx context.Context, current target.Credential) (target.Credential, error) {
	keys, now, err := u.list(ctx, current)
	if err != nil {
		return nil, err
	}
	intent := cloud.Intent{Asked: now}
	for _, k := range keys {
		intent.Known = append(intent.Known, k.id)
	}
	if _, err := u.others(keys, current, intent); err != nil {
		return nil, err
	}
	return intent.Credential(), nil
}

// others finds keys beside the current one: those that were lost and may be deleted. Any
// other stands in the way.
func (u *user) others(keys []listed, current target.Credential, intent cloud.Intent) (lost []string, err error) {
	for _, k := range keys {
		switch {
		case k.id == current[KeyID].RevealString():
		case !intent.Lost(k.id, k.made):
			return nil, target.Errorf(target.Refused, nil, "the user has access key %s too, made at %s, and room for two only. It is not known to be of this rotation, so it is kept: delete it if nobody needs it", k.id, k.made.UTC().Format(time.RFC3339))
		case !u.deletes:
			return nil, target.Errorf(target.Refused, nil, "access key %s was made at %s, most likely by this rotation, and the answer with its secret was lost. It is kept, since somebody else may have made it: CloudTrail names the program %s if not. Delete it then, or let annotation %s do that", k.id, k.made.UTC().Format(time.RFC3339), cloud.Agent, cloud.LostKeys)
		default:
			lost = append(lost, k.id)
		}
	}
	return lost, nil
}

// Apply is part of target.Target: it makes a key. Handed one that was issued, it only
// sees whether that is still there.
func (u *user) Apply(ctx context.Context, current, next target.Credential) (target.Credential, error) {
	keys, _, err := u.list(ctx, current)
	if err != nil {
		return nil, err
	}
	if next[target.Main].Len() > 0 {
		if slices.ContainsFunc(keys, func(k listed) bool { return k.id == next[KeyID].RevealString() }) {
			return next, nil
		}
		return nil, target.Errorf(target.Refused, nil, "the access key is gone, and AWS cannot bring one back")
	}
	lost, err := u.others(keys, current, cloud.ReadIntent(next))
	if err != nil {
		return nil, err
	}
	for _, id := range lost {
		if err := u.delete(ctx, current, id); err != nil {
			return nil, cloud.Unchanged(err) // the key that works is another one
		}
	}
	client, w, err := u.keys(current)
	if err != nil {
		return nil, err
	}
	out, err := client.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{})
	if err != nil {
		return nil, w.failure(u.iam.address(), err)
	}
	id, key := "", ""
	if out.AccessKey != nil {
		id, key = aws.ToString(out.AccessKey.AccessKeyId), aws.ToString(out.AccessKey.SecretAccessKey)
	}
	if !ids.MatchString(id) || key == "" {
		return nil, target.Errorf(target.Uncertain, nil, "%s answers without a key", u.iam.address())
	}
	return target.Credential{target.Main: secret.FromString(key), KeyID: secret.FromString(id), cloud.Fresh: secret.FromString("yes")}, nil
}

// Probe is part of target.Target. GetCallerIdentity needs no privilege.
func (u *user) Probe(ctx context.Context, c target.Credential) error {
	client, w, err := u.logins(c)
	if err != nil {
		return err
	}
	return cloud.Settle(ctx, c, func() error {
		if _, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err != nil {
			return cloud.Unchanged(w.failure(u.sts.address(), err))
		}
		return nil
	})
}

// Retire is part of target.Target.
func (u *user) Retire(ctx context.Context, current, old target.Credential) error {
	id := old[KeyID].RevealString()
	if id == "" || id == current[KeyID].RevealString() {
		return nil
	}
	// A key that is new itself may not be known yet where the old one is deleted.
	return cloud.Settle(ctx, current, func() error { return u.delete(ctx, current, id) })
}

// delete deletes a key of the user's. One that is not there is deleted.
func (u *user) delete(ctx context.Context, by target.Credential, id string) error {
	client, w, err := u.keys(by)
	if err != nil {
		return err
	}
	if _, err := client.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{AccessKeyId: &id}); err != nil && code(err) != "NoSuchEntity" {
		return w.failure(u.iam.address(), err)
	}
	return nil
}
