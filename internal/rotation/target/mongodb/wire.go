package mongodb

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/xdg-go/scram"
	"github.com/xdg-go/stringprep"
	"go.mongodb.org/mongo-driver/v2/bson"

	"rekey/internal/secret"
)

// The part of MongoDB's wire protocol that commands need: OP_MSG with one section
// (MongoDB Manual, "MongoDB Wire Protocol").

const (
	opMsg      = 2013
	headerSize = 16
	maxMessage = 1 << 20 // more than any answer that is needed here

	checksumPresent = 1 << 0

	mechanism  = "SCRAM-SHA-256"
	iterations = 4096 // the fewest that a server may ask for (RFC 7677, section 4)
)

var (
	errMalformed  = errors.New("malformed message")
	errNotProven  = errors.New("the server does not prove that it knows the user")
	errNotPrimary = errors.New("not the primary")
	errOtherSet   = errors.New("another replica set")
	errMechanism  = errors.New("the user has no " + mechanism)
)

// commandError is an answer of the server's that is none. What it says may quote the
// command.
type commandError struct {
	code    int32
	concern bool // the command was carried out, but not as durably as was asked
}

func (e *commandError) Error() string { return fmt.Sprintf("error %d", e.code) }

// wire is a connection.
type wire struct {
	conn net.Conn
	sent int32 // requests
}

// connect begins a connection under TLS, which the context governs from then on.
func connect(ctx context.Context, conn net.Conn, config *tls.Config) (*wire, error) {
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return &wire{conn: secure}, nil
}

// command asks a database and reads the answer into result, which may be nil.
func (w *wire) command(database string, command bson.D, result any) error {
	document, err := bson.Marshal(append(command, bson.E{Key: "$db", Value: database}))
	if err != nil {
		return errMalformed
	}
	w.sent++
	size := headerSize + 4 + 1 + len(document)
	message := make([]byte, 0, size)
	for _, field := range []int32{int32(size), w.sent, 0, opMsg, 0} {
		message = binary.LittleEndian.AppendUint32(message, uint32(field))
	}
	message = append(append(message, 0), document...)
	if _, err := w.conn.Write(message); err != nil {
		return err
	}
	answer, err := w.read()
	if err != nil {
		return err
	}
	var outcome struct {
		OK      float64 `bson:"ok"`
		Code    int32   `bson:"code"`
		Concern *struct {
			Code int32 `bson:"code"`
		} `bson:"writeConcernError"`
	}
	switch {
	case bson.Raw(answer).Validate() != nil || bson.Unmarshal(answer, &outcome) != nil:
		return errMalformed
	case outcome.OK != 1:
		return &commandError{code: outcome.Code}
	case outcome.Concern != nil:
		return &commandError{code: outcome.Concern.Code, concern: true}
	case result != nil && bson.Unmarshal(answer, result) != nil:
		return errMalformed
	}
	return nil
}

// read reads the document of an answer to the last request.
func (w *wire) read() ([]byte, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(w.conn, header[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(header[0:])
	if size < headerSize+5 || size > maxMessage || binary.LittleEndian.Uint32(header[8:]) != uint32(w.sent) || binary.LittleEndian.Uint32(header[12:]) != opMsg {
		return nil, errMalformed
	}
	body := make([]byte, size-headerSize)
	if _, err := io.ReadFull(w.conn, body); err != nil {
		return nil, err
	}
	flags, section, document := binary.LittleEndian.Uint32(body), body[4], body[5:]
	if flags&checksumPresent != 0 && len(document) >= 4 {
		document = document[:len(document)-4] // TLS has a better one
	}
	if section != 0 {
		return nil, errMalformed
	}
	return document, nil
}

// prepare makes a password what is hashed (RFC 4013). User names are left as they are.
func prepare(p secret.Bytes) (string, error) {
	return stringprep.SASLprep.Prepare(p.RevealString())
}

// login logs in by SCRAM-SHA-256.
func (w *wire) login(source, user string, p secret.Bytes) error {
	prepared, err := prepare(p)
	if err != nil {
		return &commandError{code: authenticationFailed} // nobody can have it
	}
	client, err := scram.SHA256.NewClientUnprepped(user, prepared, "")
	if err != nil {
		return errMalformed
	}
	conversation := client.WithMinIterations(iterations).NewConversation()
	first, err := conversation.Step("")
	if err != nil {
		return errMalformed
	}
	var said struct {
		ID      int32  `bson:"conversationId"`
		Done    bool   `bson:"done"`
		Payload []byte `bson:"payload"`
	}
	err = w.command(source, bson.D{
		{Key: "saslStart", Value: 1}, {Key: "mechanism", Value: mechanism}, {Key: "payload", Value: []byte(first)},
		{Key: "options", Value: bson.D{{Key: "skipEmptyExchange", Value: true}}},
	}, &said)
	for range 3 {
		if err != nil {
			return err
		}
		if said.Done && conversation.Valid() {
			return nil
		}
		next := ""
		if !conversation.Done() {
			if next, err = conversation.Step(string(said.Payload)); err != nil {
				return errNotProven
			}
			if said.Done && conversation.Valid() {
				return nil
			}
		}
		if said.Done {
			return errNotProven
		}
		id := said.ID
		said.Payload = nil
		err = w.command(source, bson.D{{Key: "saslContinue", Value: 1}, {Key: "conversationId", Value: id}, {Key: "payload", Value: []byte(next)}}, &said)
	}
	return errNotProven
}
