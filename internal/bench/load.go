package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// answerLimit bounds how long one answer may take before the run fails.
const answerLimit = 30 * time.Second

// Script is what one connection sends, one request after the other, and what it accepts as an answer.
type Script struct {
	// Next returns the whole request, headers and body. The bytes are sent before Next is called again.
	Next func() []byte
	// Check returns an error if the answer to the last request is wrong. The body is good until it returns.
	Check func(status int, body []byte) error
}

// Sample is what one round on one server showed.
type Sample struct {
	Requests int             // answered within the window
	Window   time.Duration   // its length
	CPU      time.Duration   // processor time of the servers in it
	Database time.Duration   // that of the database behind them
	latency  []time.Duration // of each request, sorted
}

// Rate is in requests per second.
func (s Sample) Rate() float64 { return float64(s.Requests) / s.Window.Seconds() }

// cost is the servers' processor time for each request, in microseconds.
func (s Sample) cost() float64 { return float64(s.CPU.Nanoseconds()) / 1e3 / float64(s.Requests) }

// databaseCost is the same for the database.
func (s Sample) databaseCost() float64 {
	return float64(s.Database.Nanoseconds()) / 1e3 / float64(s.Requests)
}

// Percentile returns the latency that p percent of the requests did not exceed.
func (s Sample) Percentile(p int) time.Duration {
	if len(s.latency) == 0 {
		return 0
	}
	return s.latency[(len(s.latency)-1)*p/100]
}

// connection is one keep-alive connection of the load generator.
type connection struct {
	net.Conn
	in   *bufio.Reader
	body []byte
}

func dial(address string) (*connection, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}, nil
}

// exchange sends a request and returns the answer. The body is good until the next exchange.
func (c *connection) exchange(request []byte) (status int, body []byte, err error) {
	if _, err := c.Write(request); err != nil {
		return 0, nil, err
	}
	status, c.body, err = readResponse(c.in, c.body)
	return status, c.body, err
}

// target is what a round loads.
type target struct {
	servers  []*process
	database *database // that they keep their rows in; nil for none
}

// only is a target of one server.
func only(server *process) target { return target{servers: []*process{server}} }

// Drive loads servers, in rotation, with one connection for each script, closed loop. After a warm-up of a tenth it
// counts what is answered within the window. The first wrong answer ends the round with an error.
func Drive(ctx context.Context, on target, scripts []Script, window time.Duration) (Sample, error) {
	begin := time.Now().Add(window / 10)
	end := begin.Add(window)
	connections := make([]*connection, len(scripts))
	for i := range scripts {
		conn, err := dial(on.servers[i%len(on.servers)].address)
		if err != nil {
			return Sample{}, err
		}
		defer conn.Close()
		if err := conn.SetDeadline(end.Add(answerLimit)); err != nil {
			return Sample{}, err
		}
		connections[i] = conn
	}

	latencies := make([][]time.Duration, len(scripts))
	work, workCtx := errgroup.WithContext(ctx)
	defer context.AfterFunc(workCtx, func() { // the first error ends the exchanges of all
		for _, conn := range connections {
			conn.Close()
		}
	})()
	for i, conn := range connections {
		work.Go(func() error {
			var err error
			latencies[i], err = conn.follow(scripts[i], begin, end)
			return err
		})
	}
	sample := Sample{Window: window}
	work.Go(func() (err error) {
		sample.CPU, sample.Database, err = on.cpuBetween(workCtx, begin, end)
		return err
	})
	err := work.Wait()
	if ctx.Err() != nil { // asked to stop: what the closed connections report is no news
		return Sample{}, context.Cause(ctx)
	}
	if err != nil {
		return Sample{}, err
	}
	sample.latency = slices.Concat(latencies...)
	slices.Sort(sample.latency)
	sample.Requests = len(sample.latency)
	if sample.Requests == 0 {
		return Sample{}, errors.New("no request was answered within the window: lengthen -duration")
	}
	return sample, nil
}

// follow runs the script until the end and returns the latencies of what was answered between begin and end. The last
// request is always waited for, so that the script knows what the server holds.
func (c *connection) follow(script Script, begin, end time.Time) ([]time.Duration, error) {
	var latencies []time.Duration
	for start := time.Now(); start.Before(end); {
		status, body, err := c.exchange(script.Next())
		if err != nil {
			return nil, err
		}
		if err := script.Check(status, body); err != nil {
			return nil, fmt.Errorf("wrong answer: %w", err)
		}
		now := time.Now()
		if now.After(begin) && !now.After(end) {
			latencies = append(latencies, now.Sub(start))
		}
		start = now
	}
	return latencies, nil
}
