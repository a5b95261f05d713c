package workflow_test

import (
	"testing"

	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/workflow"
)

// sharedAccount is an account in memory. What other people do in it ends the test if it fails.
type sharedAccount struct{ *memport.Account }

func (a sharedAccount) AddFunction(t *testing.T, f memport.NewFunction) {
	t.Helper()
	if err := a.Account.AddFunction(f); err != nil {
		t.Fatal(err)
	}
}

func (a sharedAccount) AddAlias(t *testing.T, function string, alias workflow.Alias) {
	t.Helper()
	if err := a.Account.AddAlias(function, alias); err != nil {
		t.Fatal(err)
	}
}

func (a sharedAccount) SetCode(t *testing.T, function string, zip []byte) {
	t.Helper()
	if err := a.Account.SetCode(function, zip); err != nil {
		t.Fatal(err)
	}
}

func (a sharedAccount) SetMemory(t *testing.T, function string, mib int) {
	t.Helper()
	if err := a.Account.SetMemory(function, mib); err != nil {
		t.Fatal(err)
	}
}
