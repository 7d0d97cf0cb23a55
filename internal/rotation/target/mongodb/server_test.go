package mongodb_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
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

// fake speaks as much of MongoDB's protocol as the official driver needs to log in, and
// checks logins and privileges as MongoDB documents it: SCRAM-SHA-256 with stored keys
// only, users of databases, changePassword and changeOwnPassword.
type fake struct {
	port      int
	secondary bool
	set       string
	data      *data
}

// data is what the members of a set share.
type data struct {
	mu    sync.Mutex
	users map[string]*account // by database.user
	fails map[string]bson.D   // answers in place of the command's own
	seen  map[string]int      // commands
}

type account struct {
	keys       scram.StoredCredentials
	admin      bool // changePassword on all databases
	self       bool // changeOwnPassword
	mechanisms []string
}

func newData() *data {
	return &data{users: map[string]*account{}, fails: map[string]bson.D{}, seen: map[string]int{}}
}

// set gives a user a password, of which only the keys are kept.
func (d *data) set(a *account, password string) error {
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

// create makes a user.
func (d *data) create(t *testing.T, name, password string, a account) {
	t.Helper()
	if err := d.set(&a, password); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users[name] = &a
}

// serve takes connections until the listener is closed.
func (f *fake) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_ = (&client{fake: f}).talk(conn) // the other side tells
		}()
	}
}

// client is somebody connected.
type client struct {
	*fake
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

func failure(code int32, name string) bson.D {
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
			mechanisms := d.users[who].mechanisms
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
	case "updateUser":
		user, _ := fields["updateUser"].(string)
		password, _ := fields["pwd"].(string)
		who, by := d.users[database+"."+user], d.users[c.login]
		concern, _ := fields["writeConcern"].(bson.D)
		switch {
		case c.secondary:
			return failure(10107, "NotWritablePrimary")
		case by == nil || !by.admin && !(by.self && who == by):
			return failure(13, "Unauthorized")
		case who == nil:
			return failure(11, "UserNotFound")
		case len(concern) == 0 || concern[0].Value != "majority" || d.set(who, password) != nil:
			return failure(2, "BadValue")
		}
		return done
	}
	return failure(59, "CommandNotFound")
}

func (c *client) sasl(name, database string, fields map[string]any) bson.D {
	denied := failure(18, "AuthenticationFailed")
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

// The servers of these tests: one alone, and a set of a secondary and a primary.
var (
	alone, secondary, primary *fake
	authority                 *targettest.Authority
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := targettest.Dir()
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if authority, err = targettest.NewAuthority(); err != nil {
		return 0, err
	}
	if err := authority.Issue(dir, "localhost"); err != nil {
		return 0, err
	}
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	if err != nil {
		return 0, err
	}
	shared := newData()
	alone, secondary, primary = &fake{data: newData()}, &fake{data: shared, set: "rs0", secondary: true}, &fake{data: shared, set: "rs0"}
	for _, f := range []*fake{alone, secondary, primary} {
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
		if err != nil {
			return 0, err
		}
		defer l.Close()
		f.port = l.Addr().(*net.TCPAddr).Port
		go f.serve(l)
	}
	return m.Run(), nil
}

// accepts tells whether the official driver gets in.
func (f *fake) accepts(source, user, password string) bool {
	config, err := clientTLS()
	if err != nil {
		return false
	}
	c, err := mongo.Connect(options.Client().SetHosts([]string{fmt.Sprintf("localhost:%d", f.port)}).SetDirect(true).SetTLSConfig(config).
		SetServerAPIOptions(options.ServerAPI(options.ServerAPIVersion1)).SetTimeout(10 * time.Second).
		SetAuth(options.Credential{AuthMechanism: "SCRAM-SHA-256", AuthSource: source, Username: user, Password: password, PasswordSet: true}))
	if err != nil {
		return false
	}
	defer func() { _ = c.Disconnect(context.Background()) }() // nothing is at stake
	return c.Ping(context.Background(), nil) == nil
}
