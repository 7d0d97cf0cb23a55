package httpapi

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", `"\`, "\x00\b\f\n\r\t\x1f\x7f", "<a href='x'>&", "é\u2028\u2029\U0001F511", "\xff\xc3(\xe2\x80", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendString([]byte("x"), s); !bytes.Equal(got[1:], want) {
			t.Errorf("%q: %s, want %s", s, got[1:], want)
		}
		if got := appendString(nil, []byte(s)); !bytes.Equal(got, want) {
			t.Errorf("bytes %q: %s, want %s", s, got, want)
		}
	})
}

func TestAppendTime(t *testing.T) {
	at := time.Date(2025, 11, 10, 17, 0, 50, 879_999_999, time.FixedZone("", 3600))
	if got := string(appendTime(nil, at)); got != `"2025-11-10T16:00:50.879+00:00"` {
		t.Error(got)
	}
	if got := string(appendTime(nil, time.Time{})); got != "null" {
		t.Error(got)
	}
}
