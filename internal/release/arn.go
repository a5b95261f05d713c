package release

import (
	"fmt"
	"strconv"
	"strings"
)

// ARN is an Amazon Resource Name whose resource is separated by colons, as Lambda and Step
// Functions write it: arn:<partition>:<service>:<region>:<account>:<type>:<name>[:<qualifier>].
//
// The general format is that of "Identify AWS resources with Amazon Resource Names" in the IAM User
// Guide; the resources are those of the Lambda API (FunctionArn, LayerVersionArn) and of the Step
// Functions API (stateMachineArn, executionArn).
type ARN struct {
	Partition string // aws, aws-cn, aws-us-gov, ...
	Service   string // lambda, states
	Region    string
	Account   string
	Type      string // function, layer, stateMachine, execution
	Name      string // of an execution: its state machine
	Qualifier string // version or alias of a function, version of a layer, name of an execution; or ""
}

const arnPrefix = "arn:"

// IsARN tells an ARN from a plain name, which cannot contain a colon. It does not check the rest.
func IsARN(s string) bool { return strings.HasPrefix(s, arnPrefix) }

// ParseARN parses an ARN. Region and account may be empty, no other part; ParseARN(s).String() is
// s.
func ParseARN(s string) (ARN, error) {
	parts := strings.Split(s, ":")
	if !IsARN(s) || len(parts) < 7 || len(parts) > 8 {
		return ARN{}, notARN(s)
	}

	a := ARN{
		Partition: parts[1],
		Service:   parts[2],
		Region:    parts[3],
		Account:   parts[4],
		Type:      parts[5],
		Name:      parts[6],
	}
	if a.Partition == "" || a.Service == "" || a.Type == "" || a.Name == "" {
		return ARN{}, notARN(s)
	}

	if len(parts) == 8 {
		a.Qualifier = parts[7]
		if a.Qualifier == "" {
			return ARN{}, notARN(s)
		}
	}

	return a, nil
}

func notARN(s string) error { return fmt.Errorf("%q is not an ARN", s) }

// String is the ARN as AWS writes it.
func (a ARN) String() string {
	s := strings.Join([]string{"arn", a.Partition, a.Service, a.Region, a.Account, a.Type, a.Name}, ":")
	if a.Qualifier != "" {
		s += ":" + a.Qualifier
	}

	return s
}

// Unqualified is the ARN without its qualifier: of a layer version, the layer.
func (a ARN) Unqualified() ARN {
	a.Qualifier = ""
	return a
}

// Execution is the ARN of a state machine's execution.
func (a ARN) Execution(name string) ARN {
	a.Type = "execution"
	a.Qualifier = name
	return a
}

// SameAccount says whether both resources are in one partition, region and account.
func (a ARN) SameAccount(b ARN) bool {
	return a.Partition == b.Partition && a.Region == b.Region && a.Account == b.Account
}

// is says whether the ARN is of this service and type of resource.
func (a ARN) is(service, resource string) bool { return a.Service == service && a.Type == resource }

// layerVersion is the version number of a layer version; false for any other resource.
func (a ARN) layerVersion() (int64, bool) {
	n, err := strconv.ParseInt(a.Qualifier, 10, 64)
	return n, err == nil && n >= 1 && a.is("lambda", "layer")
}

// ParseLayerVersionARN returns name and number of a layer version.
func ParseLayerVersionARN(s string) (name string, version int64, err error) {
	a, err := ParseARN(s)
	version, ok := a.layerVersion()
	if err != nil || !ok {
		return "", 0, fmt.Errorf("%q is not the ARN of a layer version", s)
	}

	return a.Name, version, nil
}

// LayerNameOf returns the layer's name from the ARN of a layer version; "" for any other text.
func LayerNameOf(layerVersion string) string {
	name, _, err := ParseLayerVersionARN(layerVersion)
	if err != nil {
		return ""
	}

	return name
}

// FunctionNameOf returns the name from a function's ARN, qualified or not. A name is returned as it
// is.
func FunctionNameOf(function string) string {
	a, err := ParseARN(function)
	if err != nil {
		return function
	}

	return a.Name
}

// ExecutionNameOf returns the name from the ARN of an execution. A name is returned as it is.
func ExecutionNameOf(execution string) string {
	a, err := ParseARN(execution)
	if err != nil {
		return execution
	}

	return a.Qualifier
}

// Unqualified cuts the version or alias off an ARN. Any other text is returned as it is.
func Unqualified(arn string) string {
	a, err := ParseARN(arn)
	if err != nil {
		return arn
	}

	return a.Unqualified().String()
}

// SameLayer says whether two ARNs are versions of one layer. Layers of other accounts and regions
// may have the same name.
func SameLayer(a, b string) bool {
	return LayerNameOf(a) != "" && LayerNameOf(b) != "" && Unqualified(a) == Unqualified(b)
}

// SameAccount says whether two ARNs are of one partition, region and account.
func SameAccount(a, b string) bool {
	first, errFirst := ParseARN(a)
	second, errSecond := ParseARN(b)
	return errFirst == nil && errSecond == nil && first.SameAccount(second)
}
