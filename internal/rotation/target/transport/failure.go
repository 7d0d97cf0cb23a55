package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"

	"rekey/internal/rotation/target"
)

// Failure classifies a connection that could not be made: Refused where the server's
// certificate is the reason, else Unreachable. An error that has a class keeps it.
func Failure(address string, err error) error {
	var classified *target.Error
	if errors.As(err, &classified) {
		return classified
	}
	if reason := certificate(err); reason != "" {
		return target.Errorf(target.Refused, err, "%s is not trusted: %s. Nothing was sent to it. Give the authority that signed its certificate by annotation ca", address, reason)
	}
	return target.Errorf(target.Unreachable, err, "%s: %s", address, reason(err))
}

// certificate says what is wrong with the server's certificate, or nothing.
func certificate(err error) string {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(err, &unknown):
		return "its certificate was signed by an unknown authority"
	case errors.As(err, &name):
		return "its certificate names another host"
	case errors.As(err, &invalid):
		return "its certificate is not valid: " + invalid.Error()
	case errors.As(err, &verification):
		return "its certificate cannot be verified"
	case errors.As(err, &record):
		return "it does not speak TLS"
	}
	return ""
}

// reason is what happened on the network, in words that hold nothing that was sent.
func reason(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	var op *net.OpError
	var call *os.SyscallError
	switch {
	case errors.Is(err, context.Canceled):
		return "the attempt was called off"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &dns):
		return "the name of the host cannot be resolved"
	case errors.As(err, &call):
		return call.Err.Error()
	case errors.As(err, &op):
		return "the connection failed (" + op.Op + ")"
	}
	return "the connection was lost"
}

// Lost is an error for a request that was sent while its answer never came.
func Lost(address string, err error) error {
	return target.Errorf(target.Uncertain, err, "%s: %s after the change had been asked for", address, reason(err))
}
