// Package agent runs beside a workload and keeps what it lives on fresh: the API key
// that is its identity, an access token in a file, files and an environment with
// secrets, and the process that uses them.
//
// Each of these is a duty, done again and again and independently of the others. The
// agent promises that a duty that fails leaves what is there as it was and is tried
// again, after a while that grows; that files are replaced whole or not at all; that
// no value, key or token is in its log, its metrics or an error; and that a key is
// replaced in the steps of client.Identity, so that the agent, the network and the
// server may die at any moment. It imports cli/client, secretsyml, ident, period, fault
// and secret.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
)

// Agent does the duties of a plan.
type Agent struct {
	log     *slog.Logger
	counts  *counts
	systemd *systemd
	child   *child // nil without a command
	mutex   sync.Mutex
	duties  []*duty
	ready   sync.Once
}

// Once does each duty of a plan once, and returns what went wrong.
func Once(ctx context.Context, plan Plan, log *slog.Logger) error {
	if plan.Command != nil {
		e := fault.New(fault.Invalid, "a command is not run once")
		e.Advice = "leave the command out, or leave --once out"
		return e
	}
	a := &Agent{log: log, counts: &counts{}}
	duties, err := a.plan(ctx, plan)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range duties {
		if d.endless {
			continue
		}
		_, err := d.do(ctx)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Run does the duties of a plan until ctx is done or the command ends, whose status is
// then an Exit. load reads the plan; it is called again at each SIGHUP, and what it
// cannot read leaves the former plan in force.
func Run(ctx context.Context, load func() (Plan, error), log *slog.Logger) error {
	a := &Agent{log: log, counts: &counts{}, systemd: newSystemd(os.Getenv)}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	plan, err := load()
	if err != nil {
		return err
	}
	if plan.Command != nil {
		a.child = newChild(plan.Command, os.Environ(), log, a.counts, func(exit Exit) { stop(exit) })
		defer a.child.attend()()
	}
	duties, err := a.plan(ctx, plan)
	if err != nil {
		return err
	}
	health, err := a.serveHealth(plan.Health)
	if err != nil {
		return err
	}
	defer health()
	go a.systemd.watchdog(ctx)
	for ctx.Err() == nil {
		end := a.begin(ctx, plan, duties)
		plan, duties = a.await(ctx, plan, load, hangups)
		if ctx.Err() == nil {
			end()
			continue
		}
		a.systemd.tell("STOPPING=1")
		var ended error
		if a.child != nil {
			ended = a.child.end(context.Cause(ctx)) // while a duty may still finish what it has begun
		}
		end()
		return ended
	}
	return nil
}

// await waits for the end, or for another plan that can be done.
func (a *Agent) await(ctx context.Context, plan Plan, load func() (Plan, error), hangups <-chan os.Signal) (Plan, []*duty) {
	for {
		select {
		case <-ctx.Done():
			return plan, nil
		case <-hangups:
		}
		next, err := load()
		if err == nil {
			err = next.mayFollow(plan)
		}
		var duties []*duty
		if err == nil {
			duties, err = a.plan(ctx, next)
		}
		if err == nil {
			a.log.Info("reloaded the configuration")
			return next, duties
		}
		a.log.Error("the configuration cannot be reloaded; the former one stays in force", "error", err, "advice", advice(err))
	}
}

// begin starts the duties of a plan, and returns how to end them.
func (a *Agent) begin(ctx context.Context, plan Plan, duties []*duty) (end func()) {
	ctx, stop := context.WithCancel(ctx)
	if a.child != nil {
		a.child.follow(plan.Command)
	}
	a.mutex.Lock()
	a.duties = duties
	a.mutex.Unlock()
	var group sync.WaitGroup
	for _, d := range duties {
		group.Go(func() { d.run(ctx, a.log, a.attempted) })
	}
	return func() { stop(); group.Wait() }
}

// plan makes duties of a plan.
func (a *Agent) plan(ctx context.Context, plan Plan) ([]*duty, error) {
	// What has begun with the key is finished, also when the agent is told to stop.
	whole := context.WithoutCancel(ctx)
	options := plan.options()
	who, err := a.openLogin(whole, options, plan)
	if err != nil {
		return nil, err
	}
	var duties []*duty
	if plan.keepsKey() {
		duties = append(duties, a.identityDuty(who.identity, plan))
	}
	var token *duty
	if plan.TokenFile != "" {
		token = a.tokenDuty(who, plan.TokenFile)
		duties = append(duties, token)
	}
	if plan.wantsSecrets() {
		session, err := client.OpenWith(ctx, options, who.token)
		if err != nil {
			return nil, err
		}
		words, err := client.OpenWith(ctx, options, who.token)
		if err != nil {
			return nil, err
		}
		acknowledge, taken := a.acknowledgeDuty(words, who)
		w := &watched{}
		secrets, err := a.secretsDuty(&source{session, who, w, taken}, plan, token)
		if err != nil {
			return nil, err
		}
		events, err := client.OpenWith(ctx, options, who.token)
		if err != nil {
			return nil, err
		}
		duties = append(duties, secrets, acknowledge, a.watchDuty(events, who, w, secrets))
	}
	if len(duties) == 0 {
		e := fault.New(fault.Invalid, "there is nothing to do")
		e.Advice = "give --rotate-every, --token-file, --secret, --template, a command, or a file with --config"
		return nil, e
	}
	return duties, nil
}

// attempted is called after each attempt of a duty: when all have succeeded once, the
// agent is ready.
func (a *Agent) attempted() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for _, d := range a.duties {
		if !d.endless && d.state().LastSuccess.IsZero() {
			return
		}
	}
	a.ready.Do(func() {
		a.log.Info("rekey agent is ready")
		a.systemd.tell("READY=1")
	})
}

// shortest bounds how often anything is done.
const shortest = 20 * time.Millisecond
