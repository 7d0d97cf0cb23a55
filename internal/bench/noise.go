package bench

import "context"

// measureNoise compares a bare server with another one of its kind: what the ratio is off from 1 is the error that this
// machine, now, makes in every other row.
func measureNoise(ctx context.Context, e *Env) ([]Result, error) {
	body := make([]byte, 32)
	script := fixed(render("GET", "/", "", ""), 200, body)
	return e.compareBare(ctx, "a bare server against itself", bare{kind: barePlain, status: 200, body: body}, script)
}

// measureDurableNoise is the same for bare servers that wait for the disk.
func measureDurableNoise(ctx context.Context, e *Env) ([]Result, error) {
	script := fixed(render("POST", "/", "", string(make([]byte, 32))), 201, nil)
	return e.compareBare(ctx, "a bare server with shared fdatasync against itself", bare{kind: bareDurable, status: 201}, script)
}

func (e *Env) compareBare(ctx context.Context, operation string, kind bare, script Script) ([]Result, error) {
	var sides [2]side
	for i := range sides {
		server, err := e.startBare(ctx, kind)
		if err != nil {
			return nil, err
		}
		sides[i] = e.loaded(only(server), same(e.Connections, script))
	}
	result, err := e.compare(ctx, sides[0], sides[1])
	result.Operation = operation
	return []Result{result}, err
}
