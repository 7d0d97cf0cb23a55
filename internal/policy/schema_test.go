package policy

import (
	"fmt"
	"strings"
	"testing"
)

// Every attribute of the schema is one that the parser sets, whatever its value.
func TestEveryAttributeIsSet(t *testing.T) {
	for _, typ := range types {
		for key := range typ.attributes {
			for _, value := range []string{"", "x", "1", "[x]", "[]", "{a: b}", "!user x", "[!layer x]"} {
				text := fmt.Sprintf("- !%s {%s: %s}", typ.tag, key, value)
				switch typ {
				case typeMember:
					text = fmt.Sprintf("- !grant {member: !member {%s: %s}}", key, value)
				case typeAutomaticRole:
					text = fmt.Sprintf("- !grant {role: !automatic-role {%s: %s}}", key, value)
				}
				if _, err := Parse([]byte(text)); err != nil && strings.Contains(err.Error(), "No such attribute '"+key+"'") {
					t.Errorf("%s: %v", text, err)
				}
			}
		}
	}
}

func TestTagsInAllSpellings(t *testing.T) {
	for _, tag := range []string{"host-factory", "host_factory", "hostFactory", "HostFactory", "HOST-FACTORY", "Host_Factory"} {
		r, err := resolve("- !"+tag+" {id: f, layers: []}", rootScope)
		if err != nil || len(r.Records) != 1 || r.Records[0].ID != "acct:host_factory:f" {
			t.Errorf("!%s: %v", tag, err)
		}
	}
	for _, tag := range []string{"automatic-role", "managed-role", "managed_role"} {
		_, err := resolve("- !grant {role: !"+tag+" {record: !layer l, role_name: use_host}}", rootScope)
		if err == nil || err.Error() != "@ 'layer/l/use_host' not found in account 'acct'" {
			t.Errorf("!%s: %v", tag, err)
		}
	}
}
