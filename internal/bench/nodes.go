package bench

import (
	"context"
	"fmt"
)

const (
	// nodeConnections are those to each node: many requests share one look at the database.
	nodeConnections = 64
	// scalingCores is how many processors it takes to see two nodes at work: one for each, two for the load generator,
	// and two for the database.
	scalingCores = 6
)

// measureNodes: reads of secrets by nodes of one PostgreSQL. With enough processors, the rate of two nodes is compared
// with that of one; otherwise, the processor time of a node for each request with that of a server with SQLite.
func measureNodes(ctx context.Context, e *Env) ([]Result, error) {
	if len(e.Cores.All) >= scalingCores {
		return e.measureScaling(ctx, e.Cores.All)
	}
	return e.measureNodeCost(ctx)
}

func (e *Env) measureNodeCost(ctx context.Context) ([]Result, error) {
	e.Connections = nodeConnections
	d, err := e.startDatabase(ctx, e.Cores.beside())
	if err != nil {
		return nil, err
	}
	node, err := e.startClients(ctx, d.setting())
	if err != nil {
		return nil, err
	}
	single, err := e.startClients(ctx)
	if err != nil {
		return nil, err
	}
	nodeScripts, nodeAudited, err := node.readScripts(ctx)
	if err != nil {
		return nil, err
	}
	singleScripts, singleAudited, err := single.readScripts(ctx)
	if err != nil {
		return nil, err
	}
	nodes, singles, err := e.inTurns(ctx, e.loaded(target{[]*process{node.process}, d}, nodeScripts), e.loaded(only(single.process), singleScripts))
	if err != nil {
		return nil, err
	}
	for _, audited := range []func() error{nodeAudited, singleAudited} {
		if err := audited(); err != nil {
			return nil, err
		}
	}
	result := Result{
		Operation: fmt.Sprintf("read a secret with PostgreSQL, %d connections, processor time of the node against that with SQLite", nodeConnections),
		Unit:      "x", Figure: spread(ratios(nodes, singles, Sample.cost)), AtMost: 1.15,
		Rekey: medianSide(nodes), Bare: medianSide(singles),
	}
	result.Note = fmt.Sprintf("PostgreSQL itself took %.1f µs", result.Rekey.DatabaseCPU)
	return []Result{result}, nil
}

// measureScaling holds the nodes to the first and the fourth of the cores.
func (e *Env) measureScaling(ctx context.Context, cores []int) ([]Result, error) {
	one, load, two, behind := cores[0], cores[1:3], cores[3], cores[4:]
	if err := pinSelf(load...); err != nil {
		return nil, err
	}
	results, err := e.scale(ctx, one, two, behind)
	if pinErr := pinSelf(e.Cores.Load); err == nil {
		err = pinErr
	}
	return results, err
}

func (e *Env) scale(ctx context.Context, one, two int, behind []int) ([]Result, error) {
	d, err := e.startDatabase(ctx, behind)
	if err != nil {
		return nil, err
	}
	e.Cores.Serve, e.Connections = one, 2*nodeConnections
	c, err := e.startClients(ctx, d.setting())
	if err != nil {
		return nil, err
	}
	other, err := c.startBeside(ctx, two)
	if err != nil {
		return nil, err
	}
	c.others = []*rekey{other}
	scripts, audited, err := c.readScripts(ctx)
	if err != nil {
		return nil, err
	}
	half := func(ctx context.Context) ([]Script, error) {
		made, err := scripts(ctx)
		return made[:len(made)/2], err
	}
	result, err := e.compare(ctx, e.loaded(target{[]*process{c.process, other.process}, d}, scripts), e.loaded(target{[]*process{c.process}, d}, half))
	if err != nil {
		return nil, err
	}
	if err := audited(); err != nil {
		return nil, err
	}
	result.Operation, result.AtLeast = fmt.Sprintf("read a secret with PostgreSQL, %d connections to each of two nodes, against one node", nodeConnections), 1.7
	result.Note = fmt.Sprintf("PostgreSQL itself took %.1f µs", result.Rekey.DatabaseCPU)
	return []Result{result}, nil
}

// measurePostgresWrite: each host writes ever new values to its variable, which the node stores in PostgreSQL; against
// rows that pgbench inserts into the same server. Both wait for the same disk.
func measurePostgresWrite(ctx context.Context, e *Env) ([]Result, error) {
	d, err := e.startDatabase(ctx, e.Cores.All)
	if err != nil {
		return nil, err
	}
	c, err := e.startClients(ctx, d.setting())
	if err != nil {
		return nil, err
	}
	inserts, err := e.inserts(ctx, d)
	if err != nil {
		return nil, err
	}
	before, err := d.transactions(ctx)
	if err != nil {
		return nil, err
	}
	written, writes := make([]string, e.Connections), make([]int, e.Connections)
	scripts := checked(c.writeScripts(written), func(i int, _ []byte) error { writes[i]++; return nil })
	result, err := e.compare(ctx, e.loaded(target{[]*process{c.process}, d}, scripts), inserts)
	if err != nil {
		return nil, err
	}
	if err := c.hold(ctx, written); err != nil {
		return nil, err
	}
	result.Operation, result.AtLeast, result.ByCPU = "durable secret writes to PostgreSQL, 16 writers, against pgbench with single-row inserts", 0.3, 0
	after, err := d.transactions(ctx)
	if err != nil {
		return nil, err
	}
	all := 0
	for _, n := range writes {
		all += n
	}
	result.Note = fmt.Sprintf("%.1f writes shared a transaction; PostgreSQL itself took %.1f µs for a write, %.1f µs for an insert",
		float64(all)/float64(after-before), result.Rekey.DatabaseCPU, result.Bare.DatabaseCPU)
	return []Result{result}, nil
}
