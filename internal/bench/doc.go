// Package bench measures a running rekey server over HTTP and compares it with bare net/http servers.
//
// What a figure means: both servers are processes of their own, held to one and the same core with GOMAXPROCS=1,
// and are loaded in turns (rekey, bare, rekey, bare, ...) over loopback from another core, so that a change in the
// machine's speed touches both. The figure is the median over the rounds of the ratio of their requests per second.
// Every answer's status and, where it is known, body is checked: a wrong answer fails the run, whatever its speed.
//
// The load generator writes ready-made requests to plain TCP connections, because net/http's client costs more than
// the servers that are to be measured. Setting up (policies, tokens) goes through net/http.
//
// The package knows rekey by its command line and its HTTP interface only; it imports no other package of this module.
// All credentials it handles are made for the run, on loopback, in a directory that is removed at its end.
package bench
