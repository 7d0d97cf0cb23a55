package postgres_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The words of SQL that may be said, beside names: those of SQL:2016 and of PostgreSQL that
// engines which are compatible with it have, too. Whoever needs another one looks first
// whether they do. What is not here on purpose: locks of sessions and of tables, NOTIFY and
// LISTEN, temporary tables, SKIP LOCKED, sequences and SERIAL (which make hot spots),
// triggers, functions, DO, COPY, cursors, and foreign keys.
var plainWords = words(`
	SELECT FROM WHERE AND OR IN ANY AS CASE WHEN THEN END ELSE ORDER BY DESC LIMIT OFFSET
	INSERT INTO VALUES ON CONFLICT DO NOTHING UPDATE SET DELETE FOR
	BEGIN ISOLATION LEVEL READ COMMITTED REPEATABLE ONLY WRITE COMMIT ROLLBACK SHOW
	CREATE SCHEMA TABLE INDEX IF NOT EXISTS PRIMARY KEY NULL DROP LOCAL
	ALTER ADD COLUMN DEFAULT IS
	BIGINT BYTEA BOOLEAN`)

// The functions that may be called.
var plainFunctions = words(`set_config current_setting coalesce count max unnest`)

// What no name is, so that nobody says it in small letters.
var noNames = words(`LISTEN NOTIFY UNLISTEN LOCK TEMP TEMPORARY SKIP LOCKED NOWAIT SERIAL BIGSERIAL GENERATED SEQUENCE TRIGGER FUNCTION
	PROCEDURE EXECUTE PREPARE DECLARE CURSOR COPY REFERENCES TABLESAMPLE`)

// The settings that may be made, all of them until the end of the transaction. The last is
// made only where there is such a setting.
var plainSettings = words(`idle_in_transaction_session_timeout lock_timeout synchronous_commit tcp_user_timeout`)

func words(text string) []string { return strings.Fields(strings.ToLower(text)) }

var (
	comment  = regexp.MustCompile(`--[^\n]*`)
	quoted   = regexp.MustCompile(`'[^']*'`)
	word     = regexp.MustCompile(`[A-Za-z_][A-Za-z_0-9.]*`)
	called   = regexp.MustCompile(`([A-Za-z_][A-Za-z_0-9.]*)\(`)
	settings = regexp.MustCompile(`set_config\('([a-z_]+)', '[^']*', (true)?`)
	// Small letters are for names: of tables, columns, aliases, types and functions.
	name = regexp.MustCompile(`^[a-z][a-z_0-9]*(\.[a-z][a-z_0-9]*)*$`)
)

// notPlain tells what of a statement goes beyond plain SQL; empty if nothing does.
func notPlain(sql string) string {
	for _, match := range settings.FindAllStringSubmatch(sql, -1) {
		if !slices.Contains(plainSettings, match[1]) || match[2] != "true" {
			return "the setting " + match[1]
		}
	}
	bare := quoted.ReplaceAllString(comment.ReplaceAllString(sql, ""), "''")
	if strings.Count(sql, "set_config(") != len(settings.FindAllString(sql, -1)) {
		return "a setting that is not until the end of the transaction"
	}
	for _, match := range called.FindAllStringSubmatch(bare, -1) {
		f := strings.ToLower(match[1])
		if !slices.Contains(plainFunctions, f) && !slices.Contains(plainWords, f) && !strings.Contains(f, "rekey.") && !strings.HasPrefix(f, "wanted") {
			return "the function " + f
		}
	}
	if strings.HasPrefix(strings.TrimSpace(bare), "DO") {
		return "a block of code"
	}
	for _, w := range word.FindAllString(bare, -1) {
		if slices.Contains(noNames, strings.ToLower(w)) || !name.MatchString(w) && !slices.Contains(plainWords, strings.ToLower(w)) {
			return "the word " + w
		}
	}
	return ""
}

func TestWhatIsNotPlainIsFound(t *testing.T) {
	for _, sql := range []string{
		"SELECT pg_advisory_lock(1)", "SELECT pg_advisory_xact_lock(1)", "LISTEN x", "NOTIFY x", "CREATE TEMP TABLE x (id bigint)",
		"SELECT id FROM rekey.deliveries FOR UPDATE SKIP LOCKED", "CREATE TABLE rekey.x (id BIGSERIAL)", "SELECT nextval('x')",
		"CREATE FUNCTION f() RETURNS bigint", "CREATE TRIGGER x BEFORE INSERT ON rekey.x", "DO $$ BEGIN END $$", "LOCK TABLE rekey.x",
		"DECLARE c CURSOR FOR SELECT 1", "SET lock_timeout = 1; LISTEN x", "SELECT set_config('lock_timeout', '1', false)",
		"SELECT set_config('search_path', 'x', true)", "SELECT now()", "PREPARE x AS SELECT 1",
		"CREATE TABLE rekey.x (id bigint REFERENCES rekey.y)", "SELECT 1 FROM rekey.x TABLESAMPLE SYSTEM (1)", "COPY rekey.x FROM STDIN",
		"select 1 from rekey.deliveries for update skip locked", "CREATE SEQUENCE rekey.x", "CREATE TABLE rekey.x (id bigint GENERATED ALWAYS AS IDENTITY)",
	} {
		if notPlain(sql) == "" {
			t.Errorf("not found: %s", sql)
		}
	}
}
