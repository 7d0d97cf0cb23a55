package server

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"rekey/internal/config"
)

func TestADataDirectoryThatIsOpenToEverybodyIsWarnedOf(t *testing.T) {
	for mode, warned := range map[os.FileMode]bool{0o700: false, 0o770: false, 0o755: false, 0o777: true} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		warnOfWriters(&config.Config{DataDir: dir}, slog.New(slog.NewTextHandler(&log, nil)))
		if got := strings.Contains(log.String(), "chmod 700"); got != warned {
			t.Errorf("mode %v: %q", mode, log.String())
		}
	}
}
