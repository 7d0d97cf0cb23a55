package httpapi

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"rekey/internal/core"
	"rekey/internal/fault"
)

func (a *api) createAuthenticator(e *exchange) error {
	m, err := e.authenticatorBody()
	if err != nil {
		return err
	}
	asked, err := m.authenticator()
	if err != nil {
		return err
	}
	created, err := a.core.CreateAuthenticator(e.r.Context(), e.caller, e.path[account], asked)
	if err != nil {
		return err
	}
	return e.authenticator(http.StatusCreated, created)
}

var (
	authenticatorName = regexp.MustCompile(`\A[A-Za-z0-9._:-]+\z`)
	annotationName    = regexp.MustCompile(`\A[A-Za-z0-9_/-]+\z`)
	ownerID           = regexp.MustCompile(`\A[A-Za-z0-9@._/-]+\z`)
)

func (m members) authenticator() (asked core.NewAuthenticator, err error) {
	known := []string{"type", "name", "enabled", "owner", "data", "annotations"}
	for _, name := range m.names() {
		if !slices.Contains(known, name) {
			others := slices.DeleteFunc(m.names(), func(name string) bool { return slices.Contains(known, name) })
			return asked, fault.New(fault.Invalid, "The following parameters were not expected: %s", strings.Join(others, ", "))
		}
	}
	if asked.Type, err = m.text("type"); err != nil {
		return asked, err
	}
	if asked.Type == "" {
		return asked, fault.New(fault.Invalid, "Authenticator type is required")
	}
	if asked.Name, err = m.authenticatorName(); err != nil {
		return asked, err
	}
	asked.Enabled = true
	if given, ok := m["enabled"]; ok {
		if asked.Enabled, ok = given.(bool); !ok {
			return asked, mustBe("enabled", "true, false")
		}
	}
	if asked.Owner, err = m.authenticatorOwner(); err != nil {
		return asked, err
	}
	if asked.Annotations, err = m.authenticatorAnnotations(); err != nil {
		return asked, err
	}
	data, err := m.object("data")
	asked.Data = data
	return asked, err
}

func (m members) authenticatorName() (string, error) {
	name, err := m.text("name")
	switch {
	case err != nil:
		return "", err
	case name == "":
		return "", fault.New(fault.Invalid, "CONJ00190W Missing required parameter: name")
	case len(name) > 60:
		return "", fault.New(fault.Invalid, "'name' parameter length exceeded. Limit the length to 60 characters")
	case !authenticatorName.MatchString(name):
		return "", fault.New(fault.Invalid, "Invalid 'name' parameter. Valid characters: letters, numbers, and these special characters are allowed: . _ : -. Other characters are not allowed.")
	}
	return name, nil
}

func (m members) authenticatorOwner() (*core.Subject, error) {
	owner, err := m.owner()
	switch {
	case err != nil || owner == nil:
		return nil, err
	case owner.Kind == "" || owner.ID == "":
		missing := "id"
		if owner.Kind == "" {
			missing = "kind"
		}
		return nil, fault.New(fault.Invalid, "CONJ00190W Missing required parameter: %s", missing)
	case len(owner.ID) > 500:
		return nil, fault.New(fault.Invalid, "'id' parameter length exceeded. Limit the length to 500 characters")
	case !ownerID.MatchString(owner.ID):
		return nil, fault.New(fault.Invalid, "Invalid 'id' parameter. Valid characters: letters, numbers, and these special characters are allowed: @ . _ / -. Other characters are not allowed.")
	case !slices.Contains([]string{"user", "host", "group"}, owner.Kind):
		return nil, fault.New(fault.Invalid, `CONJ00191W The value in the Resource '%s' kind parameter is not valid. Error: Allowed values are ["user", "host", "group"]`, owner.ID)
	}
	return owner, nil
}

func (m members) authenticatorAnnotations() (core.Annotations, error) {
	list, err := m.annotations()
	if err != nil {
		return nil, err
	}
	for _, a := range list {
		switch {
		case len(a.Name) > 500 || !annotationName.MatchString(a.Name):
			return nil, fault.New(fault.Invalid, "Invalid 'annotation name' parameter. Valid characters: letters, numbers, and these special characters are allowed: - _ /. Other characters are not allowed.")
		case utf8.RuneCountInString(a.Value) > 120:
			return nil, fault.New(fault.Invalid, "'annotation value' parameter length exceeded. Limit the length to 120 characters")
		case a.Value == "":
			return nil, fault.New(fault.Invalid, "'annotation value' parameter length is less than 1 characters")
		case strings.ContainsAny(a.Value, "<>'\x00"):
			return nil, fault.New(fault.Invalid, "Invalid 'annotation value' parameter. All characters except less than (<), greater than (>), and single quote (') are allowed.")
		}
	}
	return list, nil
}
