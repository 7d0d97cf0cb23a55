package ssh

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/pem"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"rekey/internal/rotation/target"
	"rekey/internal/secret"
)

// publicKey is the variable beside the private key that is written with it.
const publicKey = "public-key"

// The annotations of ssh/key.
const (
	keyPrefix     = "rotation/ssh/key/"
	keyType       = "type"
	keyFile       = "file"
	adminUsername = "admin-username"
	adminPassword = "admin-password"
)

// makers are how keys are made, by the annotation type.
var makers = map[string]func(io.Reader) (crypto.PrivateKey, error){
	"":         newEd25519,
	"ed25519":  newEd25519,
	"rsa-3072": func(r io.Reader) (crypto.PrivateKey, error) { return rsa.GenerateKey(r, 3072) },
	"rsa-4096": func(r io.Reader) (crypto.PrivateKey, error) { return rsa.GenerateKey(r, 4096) },
}

func newEd25519(r io.Reader) (crypto.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(r)
	return key, err
}

// Key is ssh/key. Its annotations, below rotation/ssh/key/:
//
//	type            ed25519 (the default), rsa-3072 or rsa-4096
//	file            the file of authorized keys, in the home of the account unless it
//	                begins with a slash; .ssh/authorized_keys if not given
//	admin-username  names of variables that hold the user name and the password (or a
//	admin-password  private key) of an administrator, who acts as the account on the
//	                host; without them the account does it, logged in with its key
func Key() target.Kind { return keyKind{} }

type keyKind struct{}

// Name is part of target.Kind.
func (keyKind) Name() string { return "ssh/key" }

// Check is part of target.Kind.
func (keyKind) Check(annotations map[string]string) []target.Problem {
	var problems []target.Problem
	report := func(name, message, advice string) {
		problems = append(problems, target.Problem{Annotation: keyPrefix + name, Message: message, Advice: advice})
	}
	known := []string{adminPassword, adminUsername, keyFile, keyType}
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		if short, ok := strings.CutPrefix(name, keyPrefix); ok && !slices.Contains(known, short) {
			report(short, "no such annotation", "there are "+strings.Join(known, ", "))
		}
	}
	if _, ok := makers[annotations[keyPrefix+keyType]]; !ok {
		report(keyType, "it is no type of key that can be made", "write ed25519, rsa-3072 or rsa-4096, or leave it out for ed25519")
	}
	if file, ok := annotations[keyPrefix+keyFile]; ok && (file == "" || strings.HasSuffix(file, "/") || strings.ContainsAny(file, "\n\r\x00")) {
		report(keyFile, "it is no path of a file", "leave it out for .ssh/authorized_keys")
	}
	if (annotations[keyPrefix+adminUsername] == "") != (annotations[keyPrefix+adminPassword] == "") {
		report(adminUsername, "an administrator has a user name and a password or key, and only one of the two is named", "name both variables, or none")
	}
	return problems
}

// Siblings is part of target.Kind.
func (keyKind) Siblings(annotations map[string]string) target.Siblings {
	s := target.Siblings{Reads: []string{address, username, hostKey}, Writes: []string{publicKey}}
	for _, name := range []string{adminUsername, adminPassword} {
		if variable := annotations[keyPrefix+name]; variable != "" {
			s.Reads = append(s.Reads, variable)
		}
	}
	return s
}

// Bind is part of target.Kind.
func (kind keyKind) Bind(b target.Binding) (target.Target, error) {
	if problems := kind.Check(b.Annotations); len(problems) > 0 {
		p := problems[0]
		return nil, target.Errorf(target.Refused, nil, "annotation %s: %s: %s", p.Annotation, p.Message, p.Advice)
	}
	for _, name := range kind.Siblings(b.Annotations).Reads {
		if b.Values[name].Len() == 0 {
			return nil, target.Errorf(target.Refused, nil, "variable %s beside the key has no value: set it", name)
		}
	}
	s, err := newServer(b.Values, b.Dial)
	if err != nil {
		return nil, err
	}
	k := &keyring{server: s, user: b.Values[username].RevealString(), file: ".ssh/authorized_keys", rand: b.Rand, make: makers[b.Annotations[keyPrefix+keyType]]}
	if err := validUser(k.user); err != nil {
		return nil, err
	}
	if file := b.Annotations[keyPrefix+keyFile]; file != "" {
		k.file = file
	}
	if name := b.Annotations[keyPrefix+adminUsername]; name != "" {
		p, err := newProof(b.Values[b.Annotations[keyPrefix+adminPassword]])
		if err != nil {
			return nil, target.Errorf(target.Refused, err, "the administrator: %s", err)
		}
		k.admin = &administrator{b.Values[name].RevealString(), p}
	}
	return k, nil
}

type administrator struct {
	user  string
	proof proof
}

// keyring is the authorized keys of an account.
type keyring struct {
	server *server
	user   string
	file   string
	admin  *administrator // nil: the account does it
	make   func(io.Reader) (crypto.PrivateKey, error)
	rand   io.Reader
	only   string // a third argument of editing
}

var (
	_ target.Resetter  = (*keyring)(nil)
	_ target.Rehearser = (*keyring)(nil)
)

// Resets is part of target.Resetter: an administrator adds a line whatever keys work.
func (k *keyring) Resets() bool { return k.admin != nil }

// Identity is part of target.Target.
func (k *keyring) Identity() string {
	return k.server.Address() + " user " + strconv.Quote(k.user) + " file " + strconv.Quote(k.file)
}

// Candidate is part of target.Target.
func (k *keyring) Candidate(target.Credential) (target.Credential, error) {
	key, err := k.make(k.rand)
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "no key could be made")
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "the key that was made cannot be written")
	}
	private := secret.New(pem.EncodeToMemory(block))
	signer, err := parseKey(private)
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "the key that was made cannot be read: %s", err)
	}
	return target.Credential{target.Main: private, publicKey: secret.FromString(text(signer.PublicKey()))}, nil
}

// signer reads the private key of a credential.
func (k *keyring) signer(c target.Credential) (ssh.Signer, error) {
	if c[target.Main].Len() == 0 {
		return nil, target.Errorf(target.Refused, nil, "there is no private key for %q: set the variable to one that works", k.user)
	}
	signer, err := parseKey(c[target.Main])
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "%s", err)
	}
	return signer, nil
}

// enter logs in who changes the file: the administrator, or the account by a key.
func (k *keyring) enter(ctx context.Context, c target.Credential) (*client, error) {
	if k.admin == nil {
		signer, err := k.signer(c)
		if err != nil {
			return nil, err
		}
		return k.server.login(ctx, k.user, proof{signer: signer})
	}
	session, err := k.server.login(ctx, k.admin.user, k.admin.proof)
	if target.ClassOf(err) == target.AuthFailed {
		// It says nothing about the rotated key, and asking again does not mend it.
		return nil, target.Errorf(target.Refused, err, "the administrator %q cannot log in: correct the variables that admin-username and admin-password name", k.admin.user)
	}
	return session, err
}

// Apply is part of target.Target: the line of the new key stands beside that of the
// current one. An administrator adds one also where the current key has none.
func (k *keyring) Apply(ctx context.Context, current, next target.Credential) (target.Credential, error) {
	added, err := k.signer(next)
	if err != nil {
		return nil, err
	}
	var old ssh.PublicKey
	if k.admin == nil || current[target.Main].Len() > 0 {
		signer, err := k.signer(current)
		if err != nil {
			return nil, err
		}
		old = signer.PublicKey()
	}
	session, err := k.enter(ctx, current)
	if err != nil {
		// The account may have swapped the keys in an earlier attempt.
		if k.admin == nil && target.ClassOf(err) == target.AuthFailed && k.Probe(ctx, next) == nil {
			return next, nil
		}
		return nil, err
	}
	defer session.Close()
	err = k.edit(ctx, session, func(f authorizedKeys) (authorizedKeys, error) {
		if f.has(added.PublicKey()) {
			return f, nil
		}
		if old != nil {
			if with, found := f.beside(old, added.PublicKey()); found {
				return with, nil
			}
		}
		if k.admin == nil {
			return f, k.elsewhere()
		}
		return f.with(added.PublicKey()), nil
	})
	if err != nil {
		return nil, err
	}
	return next, nil
}

// elsewhere is that the account is let in by a line of another file.
func (k *keyring) elsewhere() error {
	return target.Errorf(target.Refused, nil, "%s of %q on %s does not have the present key, which is let in for another reason: name the file by annotation file", k.file, k.user, k.server.address)
}

// Probe is part of target.Target.
func (k *keyring) Probe(ctx context.Context, c target.Credential) error {
	signer, err := k.signer(c)
	if err != nil {
		return err
	}
	session, err := k.server.login(ctx, k.user, proof{signer: signer})
	if err != nil {
		return err
	}
	session.Close()
	return nil
}

// Retire is part of target.Target: the lines of the old key go, as long as one of its
// successor is there.
func (k *keyring) Retire(ctx context.Context, current, old target.Credential) error {
	now, err := k.signer(current)
	if err != nil {
		return err
	}
	was, err := k.signer(old)
	if err != nil {
		return err
	}
	if text(now.PublicKey()) == text(was.PublicKey()) {
		return nil
	}
	session, err := k.enter(ctx, current)
	if err != nil {
		return err
	}
	defer session.Close()
	return k.edit(ctx, session, func(f authorizedKeys) (authorizedKeys, error) {
		if without := f.without(was.PublicKey()); without == f || f.has(now.PublicKey()) {
			return without, nil
		}
		return f, target.Errorf(target.Refused, nil, "%s of %q on %s does not have the present key, so the one before it is left there", k.file, k.user, k.server.address)
	})
}
