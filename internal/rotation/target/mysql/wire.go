package mysql

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"rekey/internal/rotation/target/transport"
)

// The parts of the client/server protocol that a login and a statement without result
// need (MySQL Source Code Documentation, "Client/Server Protocol"; the MariaDB one is
// the same). Beside what it leaves out, it differs from a general client in that it
// never shows a password to a server that has not proved itself.

const (
	capabilityProtocol41   = 1 << 9
	capabilityTLS          = 1 << 11
	capabilityTransactions = 1 << 13
	capabilitySecure       = 1 << 15
	capabilityPlugin       = 1 << 19
	utf8mb4                = 45 // collation utf8mb4_general_ci
	maxPacket              = 1 << 16

	headerOK, headerMore, headerSwitch, headerError = 0x00, 0x01, 0xfe, 0xff

	native  = "mysql_native_password"
	caching = "caching_sha2_password"
)

var (
	errMalformed = errors.New("malformed packet")
	errNoTLS     = errors.New("the server has no TLS")
	errNotProven = errors.New("the server wants to see the password, and its certificate is not verified")
)

// pluginError is a way to log in that is not supported.
type pluginError struct{ name string }

func (e pluginError) Error() string { return fmt.Sprintf("authentication plugin %q", e.name) }

// serverError is an answer of the server's. Its message may quote the statement.
type serverError struct {
	code    uint16
	message string
}

func (e *serverError) Error() string { return fmt.Sprintf("error %d", e.code) }

// wire is a connection.
type wire struct {
	conn     net.Conn
	sequence byte
	version  string
	tls      bool // the server has it
}

// connect logs in. The context governs the connection from then on.
func connect(ctx context.Context, conn net.Conn, security transport.Security, host, user, password string) (*wire, error) {
	w := &wire{conn: conn}
	greeting, err := w.read()
	if err != nil {
		return nil, err
	}
	salt, plugin, err := w.greeting(greeting)
	if err != nil {
		return nil, err
	}
	capabilities := uint32(capabilityProtocol41 | capabilityTransactions | capabilitySecure | capabilityPlugin)
	if security.Encrypted() {
		capabilities |= capabilityTLS
	}
	hello := binary.LittleEndian.AppendUint32(nil, capabilities)
	hello = append(binary.LittleEndian.AppendUint32(hello, maxPacket), utf8mb4)
	hello = append(hello, make([]byte, 23)...)
	if security.Encrypted() {
		if !w.tls {
			return nil, errNoTLS
		}
		if err := w.write(hello); err != nil {
			return nil, err
		}
		secure := tls.Client(conn, security.TLS(host))
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		w.conn = secure
	}
	if plugin != caching {
		plugin = native // the server asks for another one if it needs to
	}
	proof, err := prove(plugin, password, salt)
	if err != nil {
		return nil, err
	}
	hello = append(append(hello, user...), 0, byte(len(proof)))
	hello = append(append(append(hello, proof...), plugin...), 0)
	if err := w.write(hello); err != nil {
		return nil, err
	}
	return w, w.authenticate(plugin, password, security.Verified())
}

// greeting reads the server's first packet: its version, a salt and a plugin.
func (w *wire) greeting(p []byte) ([]byte, string, error) {
	if len(p) > 0 && p[0] == headerError {
		return nil, "", refusal(p)
	}
	end := 1
	for end < len(p) && p[end] != 0 {
		end++
	}
	// After the version: id (4), salt (8), 0, capabilities (2), collation, status (2),
	// capabilities (2), length of the salt, reserved (10), salt (12), 0, plugin, 0.
	if len(p) == 0 || p[0] != 10 || len(p) < end+1+4+8+1+2+1+2+2+1+10+13 {
		return nil, "", errMalformed
	}
	w.version = string(p[1:end])
	p = p[end+1+4:]
	salt := append([]byte(nil), p[:8]...)
	offered := uint32(p[9]) | uint32(p[10])<<8 | uint32(p[14])<<16 | uint32(p[15])<<24
	if offered&capabilityProtocol41 == 0 || offered&capabilitySecure == 0 || offered&capabilityPlugin == 0 {
		return nil, "", errors.New("the server is too old")
	}
	w.tls = offered&capabilityTLS != 0
	salt = append(salt, p[27:39]...)
	return salt, text(p[40:]), nil
}

// authenticate goes on until the server is content.
func (w *wire) authenticate(plugin, password string, verified bool) error {
	for range 4 {
		p, err := w.read()
		if err != nil {
			return err
		}
		switch {
		case len(p) == 0:
			return errMalformed
		case p[0] == headerOK:
			return nil
		case p[0] == headerError:
			return refusal(p)
		case p[0] == headerSwitch:
			plugin = text(p[1:])
			if len(p) < len(plugin)+2+20 {
				return errMalformed
			}
			proof, err := prove(plugin, password, p[len(plugin)+2:len(plugin)+22])
			if err != nil {
				return err
			}
			if err := w.write(proof); err != nil {
				return err
			}
		case p[0] == headerMore && len(p) == 2 && plugin == caching && p[1] == 3:
			// The server remembers the password; its consent follows.
		case p[0] == headerMore && len(p) == 2 && plugin == caching && p[1] == 4:
			if !verified {
				return errNotProven
			}
			if err := w.write(append([]byte(password), 0)); err != nil {
				return err
			}
		default:
			return errMalformed
		}
	}
	return errMalformed
}

// prove makes the answer to a salt.
func prove(plugin, password string, salt []byte) ([]byte, error) {
	switch plugin {
	case native:
		one := sha1.Sum([]byte(password))
		two := sha1.Sum(one[:])
		mask := sha1.Sum(append(append([]byte(nil), salt...), two[:]...))
		return xor(one[:], mask[:]), nil
	case caching:
		one := sha256.Sum256([]byte(password))
		two := sha256.Sum256(one[:])
		mask := sha256.Sum256(append(two[:], salt...))
		return xor(one[:], mask[:]), nil
	}
	return nil, pluginError{plugin}
}

func xor(a, b []byte) []byte {
	for i := range a {
		a[i] ^= b[i]
	}
	return a
}

// execute sends a statement that has no result.
func (w *wire) execute(statement string) error {
	w.sequence = 0
	if err := w.write(append([]byte{3}, statement...)); err != nil {
		return err
	}
	p, err := w.read()
	switch {
	case err != nil:
		return err
	case len(p) > 0 && p[0] == headerOK:
		return nil
	case len(p) > 0 && p[0] == headerError:
		return refusal(p)
	}
	return errMalformed
}

func (w *wire) write(payload []byte) error {
	if len(payload) > maxPacket {
		return errMalformed
	}
	header := []byte{byte(len(payload)), byte(len(payload) >> 8), byte(len(payload) >> 16), w.sequence}
	w.sequence++
	_, err := w.conn.Write(append(header, payload...))
	return err
}

func (w *wire) read() ([]byte, error) {
	var header [4]byte
	if _, err := io.ReadFull(w.conn, header[:]); err != nil {
		return nil, err
	}
	size := int(header[0]) | int(header[1])<<8 | int(header[2])<<16
	if size > maxPacket {
		return nil, errMalformed
	}
	w.sequence = header[3] + 1
	payload := make([]byte, size)
	_, err := io.ReadFull(w.conn, payload)
	return payload, err
}

func refusal(p []byte) error {
	if len(p) < 3 {
		return errMalformed
	}
	message := p[3:]
	if len(message) >= 6 && message[0] == '#' {
		message = message[6:]
	}
	return &serverError{binary.LittleEndian.Uint16(p[1:]), string(message)}
}

// text is what stands before the first NUL.
func text(p []byte) string {
	for i, c := range p {
		if c == 0 {
			return string(p[:i])
		}
	}
	return string(p)
}
