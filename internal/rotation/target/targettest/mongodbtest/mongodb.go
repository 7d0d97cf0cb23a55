// Package mongodbtest starts servers for tests that speak MongoDB's protocol, since there is
// no MongoDB to be had where the tests run. The official driver is held against them. It
// imports rotation/target/targettest.
package mongodbtest

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xdg-go/scram"
	"github.com/xdg-go/stringprep"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"rekey/internal/rotation/target/targettest"
)

// Server speaks as much of MongoDB's protocol as the official driver needs to log in, and
// checks logins and privileges as MongoDB documents it: SCRAM-SHA-256 with stored keys
// only, users of databases, changePassword and changeOwnPassword.
type Server struct {
	Port int

	site      *targettest.Site
	secondary bool
	set       string
	data      *data
}

// data is what the members of a set share.
type data struct {
	mu    sync.Mutex
	users map[string]*User  // by database.user
	fails map[string]bson.D // answers in place of the command's own
	seen  map[string]int    // commands
}

// User is somebody who can log in.
type User struct {
	Admin      bool     // changePassword on all databases
	Self       bool     // changeOwnPassword
	Mechanisms []string // nil: SCRAM-SHA-256

	keys scram.StoredCredentials
}

// Start starts a server that is alone.
func Start(site *targettest.Site) (*Server, error) {
	return start(site, Server{data: newData()})
}

// StartSet starts the members of the replica set rs0.
func StartSet(site *targettest.Site) (secondary, primary *Server, err error) {
	shared := newData()
	if secondary, err = start(site, Server{data: shared, set: "rs0", secondary: true}); err == nil {
		primary, err = start(site, Server{data: shared, set: "rs0"})
	}
	return secondary, primary, err
}

func start(site *targettest.Site, s Server) (*Server, error) {
	config, err := site.TLS()
	if err != nil {
		return nil, err
	}
	s.site = site
	s.Port, err = site.Listen(func(conn net.Conn) { s.Serve(tls.Server(conn, config)) })
	return &s, err
}

func newData() *data {
	return &data{users: map[string]*User{}, fails: map[string]bson.D{}, seen: map[string]int{}}
}

// set gives a user a password, of which only the keys are kept.
func (d *data) set(a *User, password string) error {
	prepared, err := stringprep.SASLprep.Prepare(password)
	if err != nil {
		return err
	}
	client, err := scram.SHA256.NewClientUnprepped("", prepared, "")
	if err != nil {
		return err
	}
	salt := make([]byte, 28)
	if _, err := rand.Read(salt); err != nil {
		return err
	}
	a.keys, err = client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: 4096})
	return err
}

// Create makes a user, by the name database.user.
func (s *Server) Create(t testing.TB, name, password string, u User) {
	t.Helper()
	if err := s.data.set(&u, password); err != nil {
		t.Fatal(err)
	}
	s.data.mu.Lock()
	defer s.data.mu.Unlock()
	s.data.users[name] = &u
}

// Answer is the one of a command from now on, and all others are carried out.
func (s *Server) Answer(command string, answer bson.D) {
	s.data.mu.Lock()
	defer s.data.mu.Unlock()
	s.data.fails = map[string]bson.D{command: answer}
}

// Seen tells how often the members of the set were given a command.
func (s *Server) Seen(command string) int {
	s.data.mu.Lock()
	defer s.data.mu.Unlock()
	return s.data.seen[command]
}

// Serve speaks with somebody until they go.
func (s *Server) Serve(conn net.Conn) {
	_ = (&client{Server: s}).talk(conn) // the other side tells
}

// client is somebody connected.
type client struct {
	*Server
	login        string // database.user; empty: nobody
	conversation *scram.ServerConversation
	trying       string
}

func (c *client) talk(conn net.Conn) error {
	in := bufio.NewReader(conn)
	for {
		header := make([]byte, 16)
		if _, err := io.ReadFull(in, header); err != nil {
			return err
		}
		size, id, op := binary.LittleEndian.Uint32(header), binary.LittleEndian.Uint32(header[4:]), binary.LittleEndian.Uint32(header[12:])
		if size < 21 || size > 1<<20 || op != 2013 {
			return errors.New("not a message")
		}
		body := make([]byte, size-16)
		if _, err := io.ReadFull(in, body); err != nil {
			return err
		}
		var command bson.D
		if err := bson.Unmarshal(body[5:], &command); err != nil || body[4] != 0 {
			return errors.New("not a command")
		}
		answer, err := bson.Marshal(c.answer(command))
		if err != nil {
			return err
		}
		var out []byte
		for _, n := range []uint32{uint32(21 + len(answer)), 1, id, 2013, 0} {
			out = binary.LittleEndian.AppendUint32(out, n)
		}
		if _, err := conn.Write(append(append(out, 0), answer...)); err != nil {
			return err
		}
	}
}

// Failure is an answer with an error.
func Failure(code int32, name string) bson.D {
	return bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: "in words with the command"}, {Key: "code", Value: code}, {Key: "codeName", Value: name}}
}

var done = bson.D{{Key: "ok", Value: 1.0}}

func (c *client) answer(command bson.D) bson.D {
	d := c.data
	d.mu.Lock()
	defer d.mu.Unlock()
	name := command[0].Key
	d.seen[name]++
	if planned, ok := d.fails[name]; ok {
		return planned
	}
	fields := map[string]any{}
	for _, e := range command {
		fields[e.Key] = e.Value
	}
	database, _ := fields["$db"].(string) // a message without has none
	return c.carryOut(name, database, fields)
}

func (c *client) carryOut(name, database string, fields map[string]any) bson.D {
	d := c.data
	switch name {
	case "hello":
		hello := bson.D{{Key: "ok", Value: 1.0}, {Key: "isWritablePrimary", Value: !c.secondary}, {Key: "secondary", Value: c.secondary},
			{Key: "minWireVersion", Value: 0}, {Key: "maxWireVersion", Value: 21}, {Key: "maxBsonObjectSize", Value: 16 << 20}, {Key: "maxMessageSizeBytes", Value: 48000000},
			{Key: "maxWriteBatchSize", Value: 100000}, {Key: "connectionId", Value: 1}}
		if c.set != "" {
			hello = append(hello, bson.E{Key: "setName", Value: c.set})
		}
		if who, ok := fields["saslSupportedMechs"].(string); ok && d.users[who] != nil {
			mechanisms := d.users[who].Mechanisms
			if mechanisms == nil {
				mechanisms = []string{"SCRAM-SHA-256"}
			}
			hello = append(hello, bson.E{Key: "saslSupportedMechs", Value: mechanisms})
		}
		return hello
	case "saslStart", "saslContinue":
		return c.sasl(name, database, fields)
	case "ping", "endSessions":
		return done
	case "connectionStatus":
		return append(bson.D{{Key: "authInfo", Value: bson.D{{Key: "authenticatedUserPrivileges", Value: privileges(d.users[c.login])}}}}, done...)
	case "updateUser":
		user, _ := fields["updateUser"].(string)
		password, _ := fields["pwd"].(string)
		who, by := d.users[database+"."+user], d.users[c.login]
		concern, _ := fields["writeConcern"].(bson.D)
		switch {
		case c.secondary:
			return Failure(10107, "NotWritablePrimary")
		case by == nil || !by.Admin && !(by.Self && who == by):
			return Failure(13, "Unauthorized")
		case who == nil:
			return Failure(11, "UserNotFound")
		case len(concern) == 0 || concern[0].Value != "majority" || d.set(who, password) != nil:
			return Failure(2, "BadValue")
		}
		return done
	}
	return Failure(59, "CommandNotFound")
}

// privileges are those that a user has by roles, with some that allow no change among them.
func privileges(of *User) bson.A {
	one := func(resource bson.D, actions ...any) bson.D {
		return bson.D{{Key: "resource", Value: resource}, {Key: "actions", Value: bson.A(actions)}}
	}
	collection := func(name string) bson.D {
		return bson.D{{Key: "db", Value: "app"}, {Key: "collection", Value: name}}
	}
	all := bson.A{one(bson.D{{Key: "cluster", Value: true}}, "changePassword"), one(collection("users"), "find", "changePassword")}
	switch {
	case of == nil:
	case of.Admin:
		all = append(all, one(collection(""), "changePassword"))
	case of.Self:
		all = append(all, one(collection(""), "changeOwnPassword"))
	}
	return all
}

func (c *client) sasl(name, database string, fields map[string]any) bson.D {
	denied := Failure(18, "AuthenticationFailed")
	payload, ok := fields["payload"].(bson.Binary)
	if !ok || name == "saslStart" && fields["mechanism"] != "SCRAM-SHA-256" || name == "saslContinue" && c.conversation == nil {
		return denied
	}
	if name == "saslStart" {
		server, err := scram.SHA256.NewServer(func(user string) (scram.StoredCredentials, error) {
			c.trying = database + "." + strings.NewReplacer("=2C", ",", "=3D", "=").Replace(user) // the library does not
			if a := c.data.users[c.trying]; a != nil {
				return a.keys, nil
			}
			return scram.StoredCredentials{}, errors.New("no such user")
		})
		if err != nil {
			return denied
		}
		c.conversation = server.NewConversation()
	}
	out, err := c.conversation.Step(string(payload.Data))
	if err != nil {
		c.conversation = nil
		return denied
	}
	over := c.conversation.Done() && c.conversation.Valid()
	if over {
		c.login = c.trying
	}
	return bson.D{{Key: "ok", Value: 1.0}, {Key: "conversationId", Value: int32(1)}, {Key: "done", Value: over}, {Key: "payload", Value: []byte(out)}}
}

// clientTLS trusts the authority of a site.
func clientTLS(site *targettest.Site) (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(site.Authority.PEM)) {
		return nil, errors.New("no authority")
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// Accepts tells whether the official driver gets in.
func (s *Server) Accepts(source, user, password string) bool {
	config, err := clientTLS(s.site)
	if err != nil {
		return false
	}
	c, err := mongo.Connect(options.Client().SetHosts([]string{fmt.Sprintf("localhost:%d", s.Port)}).SetDirect(true).SetTLSConfig(config).
		SetServerAPIOptions(options.ServerAPI(options.ServerAPIVersion1)).SetTimeout(10 * time.Second).
		SetAuth(options.Credential{AuthMechanism: "SCRAM-SHA-256", AuthSource: source, Username: user, Password: password, PasswordSet: true}))
	if err != nil {
		return false
	}
	defer func() { _ = c.Disconnect(context.Background()) }() // nothing is at stake
	return c.Ping(context.Background(), nil) == nil
}

// Login is Accepts for users of database app.
func (s *Server) Login(_ *testing.T, user, password string) bool {
	return s.Accepts("app", user, password)
}

// URL is that of the server, with what follows its slash.
func (s *Server) URL(parameters string) string {
	return fmt.Sprintf("mongodb://localhost:%d/%s", s.Port, parameters)
}

// Account makes the users of an account, in database app.
func (s *Server) Account(t *testing.T, ask targettest.Ask) targettest.Account {
	t.Helper()
	for _, user := range ask.Users {
		s.Create(t, "app."+user, ask.Password, User{Self: !ask.Weak})
	}
	s.Create(t, "app.rk admin", targettest.AdminPassword, User{Admin: true})
	s.Create(t, "app.rk weak", targettest.AdminPassword, User{})
	return targettest.Reached{Kind: "mongodb/password", Annotations: map[string]string{"ca": "/pki/ca"}, Admin: "rk admin", Weak: "rk weak",
		Values: map[string]string{"url": s.URL("?authSource=app"), "/pki/ca": s.site.Authority.PEM}}.Account(ask)
}
