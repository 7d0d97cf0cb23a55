// Package awstest starts endpoints for tests that do what IAM and STS do, and check
// signatures as they do. It imports rotation/target/aws and rotation/target/targettest.
package awstest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"rekey/internal/rotation/target/targettest"
)

// Cloud is IAM and STS as far as they are needed: users with their keys, at most two each,
// and requests that must be signed (AWS Signature Version 4) by one of them.
type Cloud struct {
	sync.Mutex
	URL  string
	Keys map[string]*Key                                        // by id
	Say  func(action string) (status int, code, message string) // instead of an answer; status 0: not this time

	site *targettest.Site
}

// Start starts one.
func Start(site *targettest.Site) (*Cloud, error) {
	c := &Cloud{Keys: map[string]*Key{}, site: site}
	var err error
	c.URL, err = site.HTTPS(c)
	return c, err
}

// User is a user.
type User struct {
	Name  string
	Weak  bool // may not issue
	Delay int  // how often a new key is refused until it is known
	Loses int  // answers with new keys that are left to lose
}

// Key is a key.
type Key struct {
	ID, Secret string
	user       *User
	made       time.Time
	refusals   int // that are left until it is known
}

// Make makes a key. The caller holds the cloud.
func (c *Cloud) Make(u *User, refusals int) *Key {
	random := rand.Text() + rand.Text()
	k := &Key{ID: "AKIA" + random[:16], Secret: random[16:46] + "+/" + strings.ToLower(random[46:]), user: u, made: time.Now().Truncate(time.Second), refusals: refusals}
	c.Keys[k.ID] = k
	return k
}

// Of are the user's keys, oldest first.
func (c *Cloud) Of(u *User) (all []*Key) {
	for _, k := range c.Keys {
		if k.user == u {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(a, b *Key) int { return a.made.Compare(b.made) })
	return all
}

func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/" || r.URL.RawQuery != "" {
		refuse(w, 400, "InvalidAction", "not a query")
		return
	}
	c.Lock()
	defer c.Unlock()
	action := form.Get("Action")
	if c.Say != nil {
		if status, code, message := c.Say(action); status != 0 {
			refuse(w, status, code, message)
			return
		}
	}
	api, version, scope := "iam", "2010-05-08", "us-east-1/iam"
	if action == "GetCallerIdentity" {
		api, version, scope = "sts", "2011-06-15", "eu-central-1/sts"
	}
	k, code := c.signer(r, body, scope)
	if code != "" {
		refuse(w, 403, code, "The request signature we calculated does not match: "+string(body))
		return
	}
	if form.Get("Version") != version {
		refuse(w, 400, "InvalidAction", "version")
		return
	}
	answer := func(result string) {
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprintf(w, `<%[1]sResponse xmlns="https://%[2]s.amazonaws.com/doc/%[3]s/"><%[1]sResult>%[4]s</%[1]sResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></%[1]sResponse>`, action, api, version, result)
	}
	described := func(k *Key) string {
		return fmt.Sprintf(`<UserName>%s</UserName><AccessKeyId>%s</AccessKeyId><Status>Active</Status><CreateDate>%s</CreateDate>`, k.user.Name, k.ID, k.made.UTC().Format(time.RFC3339))
	}
	if name := form.Get("UserName"); name != "" {
		refuse(w, 403, "AccessDenied", "nothing is granted on user "+name)
		return
	}
	switch action {
	case "GetCallerIdentity":
		answer("<Arn>arn:aws:iam::123456789012:user/" + k.user.Name + "</Arn><UserId>1</UserId><Account>123456789012</Account>")
	case "ListAccessKeys":
		var members strings.Builder
		for _, k := range c.Of(k.user) {
			members.WriteString("<member>" + described(k) + "</member>")
		}
		answer("<IsTruncated>false</IsTruncated><AccessKeyMetadata>" + members.String() + "</AccessKeyMetadata>")
	case "CreateAccessKey":
		switch {
		case k.user.Weak:
			refuse(w, 403, "AccessDenied", "User is not authorized to perform: iam:CreateAccessKey")
		case len(c.Of(k.user)) >= 2:
			refuse(w, 409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
		default:
			made := c.Make(k.user, k.user.Delay)
			if k.user.Loses > 0 {
				k.user.Loses--
				panic(http.ErrAbortHandler) // the connection breaks
			}
			answer("<AccessKey>" + described(made) + "<SecretAccessKey>" + made.Secret + "</SecretAccessKey></AccessKey>")
		}
	case "DeleteAccessKey":
		gone := c.Keys[form.Get("AccessKeyId")]
		switch {
		case k.user.Weak:
			refuse(w, 403, "AccessDenied", "User is not authorized to perform: iam:DeleteAccessKey")
		case gone == nil || gone.user != k.user:
			refuse(w, 404, "NoSuchEntity", "The Access Key cannot be found")
		default:
			delete(c.Keys, gone.ID)
			answer("")
		}
	default:
		refuse(w, 400, "InvalidAction", action)
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	var text strings.Builder
	_ = xml.EscapeText(&text, []byte(message)) // a Builder takes everything
	message = text.String()
	fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>`, code, message)
}

// signer checks the signature, as "Create a signed AWS API request" of the IAM User Guide
// has it, and gives the key by which it was made. Scope is region and service.
func (c *Cloud) signer(r *http.Request, body []byte, scope string) (*Key, string) {
	fields := map[string]string{}
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	for _, field := range strings.Split(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		fields[name] = value
	}
	id, credential, _ := strings.Cut(fields["Credential"], "/")
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", date)
	if !ok || err != nil || time.Since(at).Abs() > 5*time.Minute || credential != date[:8]+"/"+scope+"/aws4_request" {
		return nil, "IncompleteSignature"
	}
	k := c.Keys[id]
	if k == nil {
		return nil, "InvalidClientTokenId"
	}
	canonical := r.Method + "\n" + r.URL.EscapedPath() + "\n" + r.URL.RawQuery + "\n"
	signed := strings.Split(fields["SignedHeaders"], ";")
	for _, must := range []string{"host", "x-amz-date", "content-length"} {
		if !slices.Contains(signed, must) {
			return nil, "IncompleteSignature"
		}
	}
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		canonical += name + ":" + strings.TrimSpace(value) + "\n"
	}
	canonical += "\n" + fields["SignedHeaders"] + "\n" + digest(body)
	by := []byte("AWS4" + k.Secret)
	for _, part := range append([]string{date[:8]}, strings.Split(scope+"/aws4_request", "/")...) {
		by = mac(by, part)
	}
	want := hex.EncodeToString(mac(by, "AWS4-HMAC-SHA256\n"+date+"\n"+credential+"\n"+digest([]byte(canonical))))
	if !hmac.Equal([]byte(want), []byte(fields["Signature"])) {
		return nil, "SignatureDoesNotMatch"
	}
	if k.refusals > 0 {
		k.refusals--
		return nil, "InvalidClientTokenId"
	}
	return k, ""
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
