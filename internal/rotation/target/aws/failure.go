package aws

import (
	"errors"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/cloud"
)

// code is that of an answer of the API's; empty if there was none.
func code(err error) string {
	var refusal smithy.APIError
	if errors.As(err, &refusal) {
		return refusal.ErrorCode()
	}
	return ""
}

// failure classifies. The words of the API stay out: they quote what was sent.
func (w *wire) failure(address string, err error) error {
	if w.failed != nil {
		return w.failed
	}
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) || answer.Response == nil || answer.HTTPStatusCode()/100 == 2 {
		return target.Errorf(target.Uncertain, err, "%s does not speak the protocol of AWS", address)
	}
	var refusal smithy.APIError
	if !errors.As(err, &refusal) {
		return cloud.Failure(address, answer.HTTPStatusCode())
	}
	switch refusal.ErrorCode() {
	case "InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException":
		if skewed(refusal.ErrorMessage()) {
			break
		}
		return target.Errorf(target.AuthFailed, err, "%s does not accept the access key", address)
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation":
		return target.Errorf(target.Refused, err, "%s does not allow it: grant the user iam:ListAccessKeys, iam:CreateAccessKey and iam:DeleteAccessKey on itself", address)
	case "LimitExceeded":
		return target.Errorf(target.Refused, err, "the user has no room for another access key: delete the one that nobody needs")
	case "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "EntityTemporarilyUnmodifiable", "ConcurrentModification":
		return target.Errorf(target.Unreachable, err, "%s cannot do it now (%s)", address, refusal.ErrorCode())
	case "RequestExpired", "RequestTimeTooSkewed":
	default:
		return cloud.Failure(address, answer.HTTPStatusCode())
	}
	return target.Errorf(target.Refused, err, "%s takes the request for one of another time: correct the clock of this server", address)
}

// skewed tells a signature that is right, but of another time. AWS has one code for both.
func skewed(message string) bool {
	return strings.Contains(message, "Signature expired") || strings.Contains(message, "Signature not yet current")
}
