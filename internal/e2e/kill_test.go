package e2e

const (
	killsVariable = "REKEY_KILLS"
	seedVariable  = "REKEY_SEED"
)
