package client

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/cyberark/conjur-api-go/conjurapi"

	"rekey/internal/apikey"
	"rekey/internal/fault"
	"rekey/internal/secret"
)

// Identity is a role whose API key is kept in a place from which others read it, too,
// and which is replaced there again and again. Several processes may do so with one
// place, and several machines with copies of it.
//
// A key is replaced in steps, and whoever dies between two of them leaves a place from
// which the next one goes on:
//
//  1. the next key is staged at the server, under a name that follows from the present
//     key: whoever has the same key gets the same next one;
//  2. the present key is stored beside the place;
//  3. the next key is stored in the place;
//  4. the next key is used, which makes it the key;
//  5. what was stored beside is removed.
//
// From 3 on the key in the place works unless the server has dropped what was staged;
// then the one beside it does.
type Identity struct {
	mutex    sync.Mutex
	session  *Session
	keep     netrcFile
	previous netrcFile
	stages   bool  // the server is known to stage keys
	steps    steps // nil, but for tests
}

// suffix is what the name of the place beside has more.
const suffix = ".previous"

// Upkeep says when a key is replaced, and how.
type Upkeep struct {
	Every  time.Duration // the age in whole seconds at which it is replaced; 0 for never
	OldKey string        // how long the key that was replaced goes on, an ISO 8601 duration; "" for not at all
	Now    bool          // replace it whatever its age is
}

// Kept is what an upkeep has come to.
type Kept struct {
	Login   string
	Rotated bool          // the key was replaced
	Found   bool          // somebody else had replaced it, or a replacement was finished or taken back
	Age     time.Duration // of the key, by the server's clock; -1 if that is unknown
}

// OpenIdentity finds the configured keep. It is Invalid if the configured credentials
// are not an API key in a keep.
func OpenIdentity(ctx context.Context, o Options) (*Identity, error) {
	cfg, err := Load(o)
	if err != nil {
		return nil, err
	}
	if from, kept := KeepsKey(&cfg, o); !kept {
		e := fault.New(fault.Invalid, "the credentials are no API key in a file, but come from: %s", from)
		e.Advice = "name a file with the API key, in netrc form, as identity"
		return nil, e
	}
	i := &Identity{}
	keep, err := OpenKeep(&cfg)
	if err != nil {
		return nil, err
	}
	file, ok := keep.(netrcFile)
	if !ok || ReadOnly(&cfg) {
		e := fault.New(fault.Invalid, "the configuration says that credentials are stored in no file, or not changed there")
		e.Advice = "set credential_storage to file, and CONJUR_CREDENTIAL_STORAGE_MODE to readwrite, or name a file as identity"
		return nil, e
	}
	file.steps = func(name string) { i.steps.next(name) }
	i.keep = file
	i.previous = netrcFile{resolve(file.path) + suffix, file.machine, true, file.steps}
	cfg.CredentialStorage = conjurapi.CredentialStorageNone // for the library: it is not to use them by itself
	api, err := conjurapi.NewClient(cfg)
	if err != nil {
		return nil, unusable(&cfg, err)
	}
	i.session = newSession(ctx, api, o)
	i.session.Source = i.keep.Name()
	return i, nil
}

// KeepsKey tells whether the configured credentials are an API key in a keep, or else
// where they come from.
func KeepsKey(cfg *conjurapi.Config, o Options) (from string, ok bool) {
	plain := cfg.AuthnType == "" || cfg.AuthnType == "authn"
	switch {
	case o.Identity != "" && plain:
		return o.Identity, true
	case cfg.AuthnType == "cert":
		return "client certificate", false
	case cfg.JWTFilePath != "" || os.Getenv("CONJUR_AUTHN_JWT_SERVICE_ID") != "":
		return "JSON web token", false
	case o.Identity == "" && os.Getenv("CONJUR_AUTHN_LOGIN") != "" && os.Getenv("CONJUR_AUTHN_API_KEY") != "":
		return SourceEnvironment, false
	case !plain:
		return "authn-" + cfg.AuthnType, false
	}
	return "", true
}

// Name says where the key is kept.
func (i *Identity) Name() string { return i.keep.Name() }

// Exposed tells whether everybody on the machine may read the place or write to it.
func (i *Identity) Exposed() bool {
	info, err := os.Stat(i.keep.path)
	return err == nil && info.Mode().Perm()&everybody != 0
}

const everybody = 0o007

// kept is what the two places have at a moment.
type kept struct {
	login, beside string // "" for none
	key, previous secret.Bytes
}

func (k kept) equal(other kept) bool {
	return k.login == other.login && k.beside == other.beside && k.key.Equal(other.key) && k.previous.Equal(other.previous)
}

func (i *Identity) read() (k kept, err error) {
	if k.login, k.key, err = i.keep.Read(); err != nil {
		return k, err
	}
	k.beside, k.previous, err = i.previous.Read()
	if fault.Is(err, fault.NotFound) {
		err = nil
	}
	i.session.Who = k.login
	return k, err
}

// Keep makes sure that the key in the place works and is the newest one, finishes what
// somebody has begun, and replaces the key if it is time. It is Unauthenticated if no
// key works, Unavailable if the server cannot be asked, Busy if another process is
// about it; after any error it may be called again.
func (i *Identity) Keep(plan Upkeep) (Kept, error) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	done := Kept{Age: -1}
	for range mostTries + 2 {
		again, err := i.once(plan, &done)
		if err != nil || !again {
			return done, err
		}
	}
	e := fault.New(fault.Busy, "others replace the key in %s as often as it is looked at", i.keep.Name())
	e.Advice = "let one of them do it"
	return done, e
}

// once does the one thing that is needed next. again is true if there may be more.
func (i *Identity) once(plan Upkeep, done *Kept) (again bool, err error) {
	k, err := i.read()
	if err != nil {
		return false, err
	}
	done.Login = k.login
	if k.beside == "" {
		current, err := i.prove(k.key)
		same := err == nil && current.Equal(k.key)
		if same {
			done.Age, err = i.age(k)
		}
		if fault.Is(err, fault.Unauthenticated) { // another process may have replaced it since it was read
			if now, reread := i.read(); reread == nil && !now.equal(k) {
				return true, nil
			}
		}
		if err != nil {
			return false, err
		}
		if same && (!plan.Now && (plan.Every == 0 || done.Age >= 0 && done.Age < plan.Every.Truncate(time.Second)) || done.Rotated) {
			return false, nil
		}
	}
	return true, i.alone(k, func(place Reserved) error {
		if k.beside != "" {
			done.Found = true
			return i.settle(k, place)
		}
		// Another process may have used a key meanwhile.
		current, err := i.prove(k.key)
		if err != nil {
			return err
		}
		if !current.Equal(k.key) {
			done.Found = true
			return place.Commit(current)
		}
		err = i.replace(k, plan, place)
		done.Rotated = err == nil
		return err
	})
}

// alone does something while nobody else replaces the key, unless it has been replaced
// since it was read.
func (i *Identity) alone(k kept, do func(Reserved) error) error {
	i.steps.next("reserve")
	place, err := i.keep.Reserve(k.login, apikey.MaxLength)
	if err != nil {
		return err
	}
	defer place.Release()
	now, err := i.read()
	if err != nil || !now.equal(k) {
		return err
	}
	return do(place)
}

// settle ends what was begun: the key in the place works, or the one beside it does.
func (i *Identity) settle(k kept, place Reserved) error {
	if k.beside == k.login && !k.previous.Equal(k.key) {
		current, err := i.prove(k.key)
		if fault.Is(err, fault.Unauthenticated) {
			if current, err = i.prove(k.previous); fault.Is(err, fault.Unauthenticated) {
				return i.session.wrongCredential(err, k.key) // and nothing is thrown away
			}
		}
		if err != nil {
			return err
		}
		if !current.Equal(k.key) {
			if err := place.Commit(current); err != nil {
				return err
			}
		}
	}
	i.steps.next("forget")
	return i.previous.Forget()
}

// replace goes from the present key to the next one.
func (i *Identity) replace(k kept, plan Upkeep, place Reserved) error {
	if err := i.mayStage(); err != nil {
		return err
	}
	beside, err := i.previous.Reserve(k.login, k.key.Len())
	if err != nil {
		return err
	}
	defer beside.Release()
	i.steps.next("stage")
	next, err := i.stage(k, plan)
	if err != nil {
		return err
	}
	i.steps.next("store the old key")
	if err := beside.Commit(k.key); err != nil {
		return err
	}
	i.steps.next("store the new key")
	if err := place.Commit(next); err != nil {
		return err
	}
	i.steps.next("use")
	if _, err := i.prove(next); err != nil {
		return err
	}
	i.steps.next("forget")
	return i.previous.Forget()
}
