package secret_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"rekey/internal/secret"
)

func TestASecretDoesNotPrint(t *testing.T) {
	s := secret.FromString("hunter2")
	holder := struct {
		Name  string
		Value secret.Bytes
		Ptr   *secret.Bytes
	}{"db", s, &s}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("read", "value", s, "holder", holder)
	for name, text := range map[string]string{
		"%v": fmt.Sprintf("%v", s), "%+v": fmt.Sprintf("%+v", holder), "%#v": fmt.Sprintf("%#v", s),
		"%s": fmt.Sprintf("%s", s), "%x": fmt.Sprintf("%x", s), "%q": fmt.Sprintf("%q", s), "%d": fmt.Sprintf("%d", s),
		"slog": log.String(), "error": fmt.Errorf("bad %v", s).Error(),
	} {
		for _, leak := range []string{"hunter2", "68756e74", "104 117"} {
			if strings.Contains(text, leak) {
				t.Errorf("%s shows the secret: %s", name, text)
			}
		}
	}
	if b, err := json.Marshal(holder); err == nil {
		t.Errorf("JSON was made of a secret: %s", b)
	}
	if s.RevealString() != "hunter2" || !s.Equal(secret.FromString("hunter2")) || s.Equal(secret.FromString("hunter3")) {
		t.Error("Reveal or Equal is wrong")
	}
}
