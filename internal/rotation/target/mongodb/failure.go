package mongodb

import (
	"errors"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/transport"
)

// The errors that matter here (MongoDB Manual, "Error Codes").
const (
	userNotFound         = 11
	unauthorized         = 13
	authenticationFailed = 18
	commandNotFound      = 59
	shutdownInProgress   = 91
	steppedDown          = 189
	mechanismUnavailable = 334
	notPrimary           = 10107
	interruptedShutdown  = 11600
	interruptedChange    = 11602
	notPrimaryNoSlave    = 13435
	notPrimaryRecovering = 13436
)

// loginFailure classifies what went wrong before a change was asked for.
func loginFailure(host string, err error) error {
	var refused *commandError
	switch {
	case errors.Is(err, errMalformed):
		return target.Errorf(target.Refused, err, "%s does not speak the protocol of MongoDB", host)
	case errors.Is(err, errNotProven):
		return target.Errorf(target.Refused, err, "%s does not prove that it knows the user, so nothing more was said to it", host)
	case errors.Is(err, errOtherSet):
		return target.Errorf(target.Refused, err, "%s is not of the replica set that the url names", host)
	case errors.Is(err, errMechanism):
		return target.Errorf(target.Refused, err, "%s has no %s for the user: give it that mechanism", host, mechanism)
	case errors.Is(err, errNotPrimary):
		return target.Errorf(target.Unreachable, err, "%s is not the primary: name all members of the replica set in the url", host)
	case !errors.As(err, &refused):
		return transport.Failure(host, err)
	}
	switch refused.code {
	case authenticationFailed:
		return target.Errorf(target.AuthFailed, err, "%s does not accept the password", host)
	case shutdownInProgress, steppedDown, notPrimary, interruptedShutdown, interruptedChange, notPrimaryNoSlave, notPrimaryRecovering:
		return target.Errorf(target.Unreachable, err, "%s does not take logins now (error %d)", host, refused.code)
	case mechanismUnavailable:
		return target.Errorf(target.Refused, err, "%s does not do %s: turn that on", host, mechanism)
	case commandNotFound:
		return target.Errorf(target.Refused, err, "%s is older than MongoDB 5", host)
	}
	return target.Errorf(target.Refused, err, "%s does not let the user in (error %d)", host, refused.code)
}

// changeFailure classifies what became of a change. The server's own words are left out:
// they may quote the command.
func changeFailure(host, user, source string, err error) error {
	var refused *commandError
	if !errors.As(err, &refused) {
		return transport.Lost(host, err)
	}
	if refused.concern {
		return target.Errorf(target.Uncertain, err, "%s has changed the password, but does not know whether most members of the set have (error %d)", host, refused.code)
	}
	switch refused.code {
	case shutdownInProgress, steppedDown, interruptedShutdown, interruptedChange:
		return target.Errorf(target.Uncertain, err, "%s was interrupted while it changed the password (error %d)", host, refused.code)
	case notPrimary, notPrimaryNoSlave, notPrimaryRecovering:
		return target.Errorf(target.Unreachable, err, "%s is not the primary any more", host)
	case userNotFound:
		return target.Errorf(target.Refused, err, "there is no user %q in database %q of %s: create it, or name its database by authSource in the url", user, source, host)
	case unauthorized:
		return target.Errorf(target.Refused, err, "%s does not let it change the password of %q: grant changeOwnPassword to the user, or changePassword on database %q to the administrator", host, user, source)
	}
	return target.Errorf(target.Refused, err, "%s refuses to change the password of %q (error %d)", host, user, refused.code)
}
