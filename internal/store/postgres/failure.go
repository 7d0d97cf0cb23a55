package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"rekey/internal/fault"
	"rekey/internal/store"
	"rekey/internal/store/schema"
)

// passes tells whether the same may work in a moment: the database wants a transaction
// again, or it cannot be reached, starts up, stops or is a standby.
func passes(err error) bool {
	var lost *lostError
	var refused *pgconn.PgError
	var known *fault.Error
	switch {
	case errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrBehind):
		return false
	case errors.As(err, &lost), errors.Is(err, errReplica):
		return true
	case errors.As(err, &refused):
		switch refused.Code {
		case "40001", "40P01", "40003", "25006", "25P03", "55P03", "72000", "XX000":
			return refused.Code != "XX000" || strings.Contains(refused.Message, "restart")
		}
		class := refused.Code[:min(2, len(refused.Code))]
		return class == "08" || class == "57" || class == "53"
	}
	return unreachable(err)
}

// unreachable tells whether an error is of the network.
func unreachable(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "conn closed")
}

// failure puts an error of the driver into the vocabulary; nil and what is in it already
// stay as they are. Details are for the log only.
func (s *Store) failure(err error, doing string) error {
	var known *fault.Error
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, store.ErrNotFound),
		errors.Is(err, store.ErrBehind), errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrNotEmpty), errors.Is(err, errVisitor):
		return err
	}
	f := &fault.Error{Kind: fault.Internal, Message: "the database failed", Cause: err, Log: fmt.Sprintf("%s: %v", doing, err)}
	var refused *pgconn.PgError
	switch {
	case errors.Is(err, schema.ErrDamaged):
		f.Message, f.Advice = "the database is damaged", "stop the servers, keep a copy of the database, and restore a backup"
	case errors.As(err, &refused) && (strings.HasPrefix(refused.Code, "28") || strings.HasPrefix(refused.Code, "3D") || refused.Code == "42501"):
		f.Kind, f.Message = fault.Unavailable, "the database does not let this server in: "+refused.Message
		f.Advice = "check the user, the password, the database and the privileges: the user must own schema rekey or be allowed to create it"
	case errors.Is(err, errReplica):
		f.Kind, f.Message = fault.Unavailable, "the database is a standby, or takes no writes for another reason"
		f.Advice = "name the primary in the database URL, or set read_only for a node that only reads"
	case errors.As(err, &refused) && refused.Code == "55P03":
		f.Kind, f.Message = fault.Unavailable, "somebody keeps a lock in the database for long"
		f.Advice = "look in pg_stat_activity for a transaction that does not end, such as that of a backup, and try again"
	case passes(err):
		f.Kind, f.Message = fault.Unavailable, "the database cannot be reached at the moment"
		f.Advice = "check that it runs, and the address in the database URL"
	}
	return f
}
