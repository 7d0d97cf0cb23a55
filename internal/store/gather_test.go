package store_test

import (
	"fmt"
	"testing"
	"time"

	"rekey/internal/store"
)

func TestATransactionOfASharedStoreIsPutOffForThoseWhoComeAgain(t *testing.T) {
	cases := []struct {
		name         string
		enough, come int
		pause, most  time.Duration
	}{
		{"enough come", 3, 2, time.Hour, time.Hour},
		{"nobody comes for a while", 2, 0, 0, time.Hour},
		{"its time is over", 9, 1, time.Hour, 0},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t)
			outcomes := []<-chan error{r.submit(ctx, users("first", 1))}
			<-r.begun
			outcomes = append(outcomes, r.submitInTurn(ctx, users("waiting", 1)))
			gathered := make(chan struct{})
			go func() {
				store.Gather(r.committer, test.enough, test.pause, test.most)
				close(gathered)
			}()
			for i := range test.come {
				select {
				case <-gathered:
					if test.most > 0 {
						t.Error("it did not wait")
					}
				default:
				}
				outcomes = append(outcomes, r.submitInTurn(ctx, users(fmt.Sprint("again", i), 1)))
			}
			<-gathered
			r.let <- nil
			<-r.begun
			r.let <- nil
			for _, outcome := range outcomes {
				if err := <-outcome; err != nil {
					t.Error(err)
				}
			}
		})
	}
}
