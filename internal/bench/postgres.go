package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// database is a PostgreSQL server of a row's own, as durable as PostgreSQL is by default.
type database struct {
	*process
	port string
	dir  string
	url  string
}

const databaseUser = "bench"

// startDatabase makes a database on the disk to measure and starts its server on some cores.
func (e *Env) startDatabase(ctx context.Context, cores []int) (*database, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(e.Dir, "postgres-")
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	password := rand.Text()
	d := &database{port: port, dir: dir, url: fmt.Sprintf("postgres://%s:%s@%s/postgres?sslmode=disable", databaseUser, password, address)}
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		return nil, err
	}
	if err := e.hand(dir, secret); err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	initialize, err := d.command(ctx, "initdb", "-D", data, "-U", databaseUser, "--pwfile", secret, "-A", "scram-sha-256", "-E", "UTF8", "--locale", "C")
	if err != nil {
		return nil, err
	}
	if out, err := initialize.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", initialize, err, out)
	}
	serve, err := d.command(ctx, "postgres", "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "max_wal_size=4GB") // no checkpoints because a row writes much
	if err != nil {
		return nil, err
	}
	serve.Cancel = func() error { return serve.Process.Signal(syscall.SIGQUIT) } // so that its children end, too
	serve.WaitDelay = 10 * time.Second
	if d.process, err = e.startServer(serve, address, filepath.Join(dir, "log"), cores...); err != nil {
		return nil, err
	}
	return d, d.poll(ctx, startLimit, func() bool { return d.query(ctx, "SELECT 1") == nil })
}

// setting makes a rekey server keep its rows in the database.
func (d *database) setting() string { return "REKEY_DATABASE_URL=" + d.url }

// query runs SQL by PostgreSQL's own client.
func (d *database) query(ctx context.Context, sql string) error {
	c, err := d.command(ctx, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, d.url)
	if err != nil {
		return err
	}
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("psql: %w: %s", err, out)
	}
	return nil
}

// transactions returns how many rekey has stored.
func (d *database) transactions(ctx context.Context) (int, error) {
	c, err := d.command(ctx, "psql", "-X", "-q", "-A", "-t", "-c", "SELECT number FROM rekey.log_head", d.url)
	if err != nil {
		return 0, err
	}
	out, err := c.Output()
	if err != nil {
		return 0, fmt.Errorf("psql: %w: %s", err, out)
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
}

// cpu returns the processor time that the database's processes have used so far, also those that have ended.
func (d *database) cpu() (all time.Duration, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("processor time of %s: %w", d.name, err)
		}
	}()
	pid := d.cmd.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	if all, err = d.process.cpu(); err != nil {
		return 0, err
	}
	for _, child := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(child); err == nil {
			used, _ := cpuOf(pid) // it may have ended meanwhile
			all += used
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // behind the name
	fields := strings.Fields(rest)
	const childrenUser, childrenSystem = 13, 14 // cutime and cstime of proc(5), counted from here
	for _, i := range []int{childrenUser, childrenSystem} {
		if len(fields) <= i {
			return 0, fmt.Errorf("/proc stat line %q", stat)
		}
		ticks, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, err
		}
		all += time.Duration(ticks) * time.Second / 100 // USER_HZ
	}
	return all, nil
}

// command is one of PostgreSQL's programs, which do not run as root.
func (d *database) command(ctx context.Context, name string, arguments ...string) (*exec.Cmd, error) {
	path, err := postgresProgram(name)
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, path, arguments...)
	c.Dir, c.Env = d.dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
	if os.Getuid() == 0 {
		uid, gid, err := postgresUser()
		if err != nil {
			return nil, err
		}
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	return c, nil
}

// hand gives files to the user that PostgreSQL runs as, where that is another one, and lets it reach them.
func (e *Env) hand(files ...string) error {
	if os.Getuid() != 0 {
		return nil
	}
	uid, gid, err := postgresUser()
	if err != nil {
		return err
	}
	for _, dir := range []string{e.Dir, e.scratch} {
		if err := os.Chmod(dir, 0o711); err != nil {
			return err
		}
	}
	for _, file := range files {
		if err := os.Chown(file, uid, gid); err != nil {
			return err
		}
	}
	return nil
}

func postgresUser() (uid, gid int, err error) {
	u, err := user.Lookup("postgres")
	if err == nil {
		uid, err = strconv.Atoi(u.Uid)
	}
	if err == nil {
		gid, err = strconv.Atoi(u.Gid)
	}
	if err != nil {
		err = fmt.Errorf("PostgreSQL does not run as root, and there is no user for it: %w: install PostgreSQL (Debian: apt install postgresql), or start this as somebody else", err)
	}
	return uid, gid, err
}

// postgresProgram finds one of PostgreSQL's programs; Debian has most of them in a directory of their own, by version.
func postgresProgram(name string) (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(found) == 0 {
		path, err := exec.LookPath(name)
		if err != nil {
			err = fmt.Errorf("PostgreSQL's program %s is not there: install PostgreSQL (Debian: apt install postgresql), or leave out the rows that need it with -run; see -list", name)
		}
		return path, err
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 for a strange name
		return n
	}
	return slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }), nil
}
