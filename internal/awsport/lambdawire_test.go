package awsport_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workflow"
)

// The suites of Lambda's ports, twice: memport runs them on the account in memory; here they go
// through the adapters, the real SDK and HTTP to the same account.

func TestLayerVersionsOverTheWire(t *testing.T) { porttest.LayerVersions(t, openWire) }
func TestFunctionsOverTheWire(t *testing.T)     { porttest.Functions(t, openWire) }
func TestSandboxesOverTheWire(t *testing.T)     { porttest.Sandboxes(t, openWire) }

const bucket = "layersmith-store"

func openWire(t *testing.T) porttest.Account {
	account := &memport.Account{Run: porttest.SuiteRuntime}
	w := &wire{account: account, update: map[string]int{}, state: map[string]int{}}
	server := httptest.NewServer(w.routes(t))
	t.Cleanup(server.Close)
	w.url = server.URL
	return adapters(awsConfig(server.URL), others{account})
}

// others is an account in memory as the suites take it.
type others struct{ *memport.Account }

func (o others) AddFunction(f porttest.NewFunction) error {
	return o.Account.AddFunction(memport.NewFunction(f))
}

// adapters is an account behind an endpoint.
func adapters(cfg aws.Config, others porttest.Others) porttest.Account {
	client := lambda.NewFromConfig(cfg)
	return porttest.Account{
		LayerVersions: awsport.LayerVersions{Client: client, Bucket: bucket},
		Functions: awsport.Functions{
			Client: client,
			Tags:   resourcegroupstaggingapi.NewFromConfig(cfg),
			Poll:   time.Millisecond,
			Pace:   time.Microsecond,
		},
		Sandboxes: awsport.Sandboxes{Client: client, Role: probeRole, Poll: time.Millisecond},
		Others:    others,
	}
}

const probeRole = "arn:aws:iam::123456789012:role/layersmith-probe"

// awsConfig is for an endpoint of a test: three attempts, and no waiting between them.
func awsConfig(endpoint string) aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: &endpoint,
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = 3
				o.RateLimiter = ratelimit.None
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			})
		},
	}
}

// wire speaks Lambda's REST API and the tagging API over an account in memory. Like Lambda it is
// not done at once: an update, a new function and a new version are pending for two looks, a change
// meanwhile is a conflict, and the revision is another one when an update is done. Lists come two
// to a page.
type wire struct {
	account *memport.Account
	url     string

	mu     sync.Mutex
	update map[string]int // looks that an update of a function is still in progress
	state  map[string]int // looks that a function ("f") or version ("f:1") is still pending
}

const (
	looks     = 2
	pageItems = 2
)

// refusal is an error as Lambda writes it.
type refusal struct {
	status        int
	code, message string
}

func (r refusal) write(w http.ResponseWriter) {
	w.Header().Set("X-Amzn-ErrorType", r.code+":http://internal.amazon.com/coral/com.amazonaws.awsgirapi/")
	w.Header().Set("X-Amzn-RequestId", "11111111-2222-3333-4444-555555555555")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.status)
	_ = json.NewEncoder(w).Encode(map[string]string{"Type": "User", "Message": r.message})
}

// refused is what Lambda answers where the account says no.
func refused(err error) refusal {
	switch fault.CodeOf(err) {
	case fault.NotFound:
		return refusal{404, "ResourceNotFoundException", err.Error()}
	case fault.Changed:
		return refusal{
			412,
			"PreconditionFailedException",
			"The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to " +
				"retrieve the latest Revision Id",
		}
	case fault.BadInput:
		return refusal{400, "InvalidParameterValueException", err.Error()}
	}

	return refusal{500, "ServiceException", err.Error()}
}

type configuration struct {
	FunctionName, FunctionArn, Version, RevisionId, CodeSha256, PackageType string
	Runtime, Handler                                                        string `json:",omitempty"`
	Role, State, LastUpdateStatus                                           string `json:",omitempty"`
	Description                                                             string
	CodeSize                                                                int64
	MemorySize, Timeout                                                     int
	Architectures                                                           []string
	Layers                                                                  []layerJSON `json:",omitempty"`
}

type layerJSON struct {
	Arn      string
	CodeSize int64
}

// object is a JSON object.
type object = map[string]any

func (s *wire) routes(t *testing.T) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, answer func(r *http.Request, body object) (int, any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			var body object
			if b, err := io.ReadAll(r.Body); err != nil || len(b) > 0 && json.Unmarshal(b, &body) != nil {
				t.Errorf("%s %s: body %q, %v", r.Method, r.URL, b, err)
			}

			status, out, err := answer(r, body)
			if r, ok := err.(*refusal); ok {
				r.write(w)
				return
			}

			if err != nil {
				refused(err).write(w)
				return
			}

			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			if status != http.StatusNoContent {
				_ = json.NewEncoder(w).Encode(out)
			}
		})
	}
	const functions, layers = "/2015-03-31/functions", "/2018-10-31/layers"
	handle("GET "+layers+"/{layer}/versions", s.listLayerVersions)
	handle("GET "+layers, s.getLayerVersion)
	handle("POST "+layers+"/{layer}/versions", s.publishLayerVersion)
	handle("POST "+layers+"/{layer}/versions/{version}/policy", s.addPermission)
	handle("DELETE "+layers+"/{layer}/versions/{version}", s.deleteLayerVersion)
	handle("GET "+functions+"/{$}", s.listFunctions)
	handle("GET "+functions, s.listFunctions)
	handle("POST "+functions, s.createFunction)
	handle("GET "+functions+"/{function}", s.getFunction)
	handle("DELETE "+functions+"/{function}", s.deleteFunction)
	handle("GET "+functions+"/{function}/configuration", s.getConfiguration)
	handle("PUT "+functions+"/{function}/configuration", s.updateConfiguration)
	handle("POST "+functions+"/{function}/versions", s.publishVersion)
	handle("GET "+functions+"/{function}/aliases/{alias}", s.getAlias)
	handle("PUT "+functions+"/{function}/aliases/{alias}", s.updateAlias)
	mux.HandleFunc("POST "+functions+"/{function}/invocations", s.invoke)
	handle("POST /{$}", s.getResources)
	mux.HandleFunc("GET /code", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials were sent to a presigned address")
		}

		b := s.account.LayerZip(r.URL.Query().Get("layer"))
		for _, v := range s.account.Versions() {
			if v.ARN+":"+v.Version == r.URL.Query().Get("function") {
				b = v.Zip
			}
		}

		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("nobody answers %s %s", r.Method, r.URL)
		w.WriteHeader(http.StatusNotImplemented)
	})
	return mux
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

func conflict(format string, args ...any) error {
	return &refusal{409, "ResourceConflictException", fmt.Sprintf(format, args...)}
}

func str(o object, key string) string {
	s, _ := o[key].(string)
	return s
}

func list(o object, key string) (out []string) {
	l, _ := o[key].([]any)
	for _, v := range l {
		out = append(out, fmt.Sprint(v))
	}

	return out
}

func lambdaTime(t time.Time) string { return t.Format("2006-01-02T15:04:05.000-0700") }

func (s *wire) listLayerVersions(r *http.Request, _ object) (int, any, error) {
	all, err := s.account.LayerVersions().List(r.Context(), r.PathValue("layer"))
	var out []object
	for _, v := range all {
		out = append(out, object{
			"LayerVersionArn": v.ARN,
			"Version":         v.Version,
			"Description":     v.Description,
			"CreatedDate":     lambdaTime(v.Created),
		})
	}

	page, next := paged(out, r.URL.Query().Get("Marker"))
	return 200, object{"LayerVersions": page, "NextMarker": next}, err
}

// paged cuts a page out of a list; the marker is the index of its first item.
func paged[T any](all []T, marker string) (page []T, next any) {
	from, _ := strconv.Atoi(marker)
	to := min(from+pageItems, len(all))
	if to < len(all) {
		next = strconv.Itoa(to)
	}

	return all[from:to], next
}

func (s *wire) getLayerVersion(r *http.Request, _ object) (int, any, error) {
	if q := r.URL.Query(); q.Get("find") != "LayerVersion" {
		return 0, nil, &refusal{400, "InvalidRequestContentException", "find"}
	}

	v, err := s.account.LayerVersions().Get(r.Context(), r.URL.Query().Get("Arn"))
	return 200, s.layerVersion(v), err
}

func (s *wire) layerVersion(v workflow.LayerVersion) object {
	return object{
		"LayerVersionArn": v.ARN,
		"LayerArn":        strings.TrimSuffix(v.ARN, ":"+strconv.FormatInt(v.Version, 10)),
		"Version":         v.Version,
		"Description":     v.Description,
		"CreatedDate":     lambdaTime(v.Created),
		"Content": object{
			"CodeSha256": v.CodeSHA256,
			"Location":   s.url + "/code?X-Amz-Signature=secret&layer=" + url.QueryEscape(v.ARN),
		},
	}
}

func (s *wire) publishLayerVersion(r *http.Request, body object) (int, any, error) {
	content, _ := body["Content"].(object)
	runtimes := list(body, "CompatibleRuntimes")
	architectures := list(body, "CompatibleArchitectures")
	if str(content, "S3Bucket") != bucket || len(runtimes) != 1 || len(architectures) != 1 {
		return 0, nil, &refusal{400, "InvalidParameterValueException", fmt.Sprint(body)}
	}

	target, err := pydist.ParseTarget(runtimes[0] + "-" + architectures[0])
	if err != nil {
		return 0, nil, &refusal{400, "InvalidParameterValueException", err.Error()}
	}

	v, err := s.account.LayerVersions().
		Publish(r.Context(),
			workflow.NewLayerVersion{
				LayerName:   r.PathValue("layer"),
				Description: str(body, "Description"),
				License:     str(body, "LicenseInfo"),
				Target:      target,
				Zip:         blob.Ref{Key: str(content, "S3Key"), VersionID: str(content, "S3ObjectVersion")},
			})
	return 201, s.layerVersion(v), err
}

func (s *wire) addPermission(r *http.Request, body object) (int, any, error) {
	arn := s.layerARN(r)
	grantee := str(body, "Principal")
	switch {
	case grantee == "*":
		grantee = str(body, "OrganizationId")
	case strings.HasPrefix(grantee, "o-"):
		return 0, nil, &refusal{400, "InvalidParameterValueException", "The provided principal was invalid."}
	}

	if str(body, "Action") != "lambda:GetLayerVersion" || str(body, "StatementId") != "layersmith-"+grantee {
		return 0, nil, &refusal{400, "InvalidParameterValueException", fmt.Sprint(body)}
	}

	if slices.Contains(s.account.Grants(arn), grantee) {
		return 0, nil, conflict(
			"The statement id (%s) provided already exists. Please provide a new statement id, or remove the "+
				"existing statement.",
			str(body, "StatementId"),
		)
	}

	return 201, object{
			"Statement":  "{}",
			"RevisionId": "r",
		}, s.account.LayerVersions().
			Share(r.Context(), workflow.LayerVersion{ARN: arn}, grantee)
}

// layerARN takes a layer's name or ARN, as the API does.
func (s *wire) layerARN(r *http.Request) string {
	layer := r.PathValue("layer")
	if !strings.HasPrefix(layer, "arn:") {
		layer = "arn:aws:lambda:us-east-1:123456789012:layer:" + layer
	}

	return layer + ":" + r.PathValue("version")
}

func (s *wire) deleteLayerVersion(r *http.Request, _ object) (int, any, error) {
	return 204, nil, s.account.LayerVersions().Delete(r.Context(), s.layerARN(r))
}

// version finds what the account knows of a version; an alias counts.
func (s *wire) version(r *http.Request, name, qualifier string) (memport.FunctionVersion, error) {
	f, err := s.account.Functions().Get(r.Context(), name, qualifier)
	if err != nil {
		return memport.FunctionVersion{}, err
	}

	for _, v := range s.account.Versions() {
		if v.ARN == f.ARN && v.Version == f.Version {
			return v, nil
		}
	}

	return memport.FunctionVersion{}, fmt.Errorf("%s:%s vanished", name, qualifier)
}

// look is one look at a version, which brings what is pending closer to its end.
func (s *wire) look(r *http.Request) (configuration, memport.FunctionVersion, error) {
	v, err := s.version(r, r.PathValue("function"), r.URL.Query().Get("Qualifier"))
	if err != nil {
		return configuration{}, v, err
	}

	c := configurationOf(v)
	s.mu.Lock()
	defer s.mu.Unlock()
	key := v.Name
	if v.Version != "$LATEST" {
		key += ":" + v.Version
	} else if s.update[v.Name] > 0 {
		s.update[v.Name]--
		c.LastUpdateStatus = "InProgress"
		c.RevisionId = "in-progress"
	}

	if s.state[key] > 0 {
		s.state[key]--
		c.State = "Pending"
	}

	return c, v, nil
}

func configurationOf(v memport.FunctionVersion) configuration {
	c := configuration{
		FunctionName:     v.Name,
		FunctionArn:      v.ARN,
		Version:          v.Version,
		RevisionId:       v.RevisionID,
		CodeSha256:       v.CodeSHA256,
		PackageType:      "Zip",
		Runtime:          v.Runtime,
		Handler:          v.Handler,
		Role:             probeRole,
		State:            "Active",
		LastUpdateStatus: "Successful",
		Description:      v.Description,
		CodeSize:         int64(v.CodeBytes),
		MemorySize:       v.MemoryMiB,
		Timeout:          v.TimeoutSeconds,
		Architectures:    []string{v.Arch},
	}
	if v.Zip == nil {
		c.PackageType = "Image"
	}

	if v.Version != "$LATEST" {
		c.FunctionArn += ":" + v.Version
		c.LastUpdateStatus = ""
	}

	for _, l := range v.Layers {
		c.Layers = append(c.Layers, layerJSON{l.ARN, int64(l.Bytes)})
	}

	return c
}

func (s *wire) getFunction(r *http.Request, _ object) (int, any, error) {
	c, v, err := s.look(r)
	code := object{
		"RepositoryType": "S3",
		"Location":       s.url + "/code?X-Amz-Signature=secret&function=" + url.QueryEscape(v.ARN+":"+v.Version),
	}
	if v.Zip == nil {
		code = object{"RepositoryType": "ECR", "ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/image:1"}
	}

	return 200, object{"Configuration": c, "Code": code}, err
}

func (s *wire) getConfiguration(r *http.Request, _ object) (int, any, error) {
	c, _, err := s.look(r)
	return 200, c, err
}

func (s *wire) busy(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.update[name] > 0 {
		return conflict("The operation cannot be performed at this time. An update is in progress for resource: %s",
			name)
	}

	return nil
}

func (s *wire) updateConfiguration(r *http.Request, body object) (int, any, error) {
	v, err := s.version(r, r.PathValue("function"), "")
	if err != nil {
		return 0, nil, err
	}

	if err := s.busy(v.Name); err != nil {
		return 0, nil, err
	}

	arns := list(body, "Layers")
	if _, given := body["Layers"]; !given { // what is left out stays
		for _, l := range v.Layers {
			arns = append(arns, l.ARN)
		}
	}

	if _, err = s.account.Functions().SetLayers(r.Context(), v.Name, arns, revisionOf(body, v.RevisionID)); err != nil {
		return 0, nil, err
	}

	s.mu.Lock()
	s.update[v.Name] = looks
	s.mu.Unlock()
	v, err = s.version(r, v.Name, "")
	c := configurationOf(v)
	c.LastUpdateStatus = "InProgress"
	c.RevisionId = "in-progress"
	return 200, c, err
}

// revisionOf is the revision that a request names; without one it has no condition.
func revisionOf(body object, current string) string {
	if r := str(body, "RevisionId"); r != "" {
		return r
	}

	return current
}

func (s *wire) publishVersion(r *http.Request, body object) (int, any, error) {
	v, err := s.version(r, r.PathValue("function"), "")
	if err != nil {
		return 0, nil, err
	}

	if err := s.busy(v.Name); err != nil {
		return 0, nil, err
	}

	before := len(s.account.Versions())
	number, err := s.account.Functions().
		PublishVersion(r.Context(), v.Name, str(body, "Description"), revisionOf(body, v.RevisionID))
	if err != nil {
		return 0, nil, err
	}

	made, err := s.version(r, v.Name, number)
	c := configurationOf(made)
	if len(s.account.Versions()) > before {
		s.mu.Lock()
		s.state[v.Name+":"+number] = looks
		s.mu.Unlock()
		c.State = "Pending"
	}

	return 201, c, err
}

func aliasJSON(arn string, a workflow.Alias) object {
	out := object{
		"AliasArn":        arn + ":" + a.Name,
		"Name":            a.Name,
		"FunctionVersion": a.Version,
		"Description":     "",
		"RevisionId":      a.RevisionID,
	}
	if a.Weights != nil {
		out["RoutingConfig"] = object{"AdditionalVersionWeights": a.Weights}
	}

	return out
}

func (s *wire) getAlias(r *http.Request, _ object) (int, any, error) {
	a, err := s.account.Functions().Alias(r.Context(), r.PathValue("function"), r.PathValue("alias"))
	return 200, aliasJSON("arn", a), err
}

func (s *wire) updateAlias(r *http.Request, body object) (int, any, error) {
	name := r.PathValue("function")
	alias := r.PathValue("alias")
	before, err := s.account.Functions().Alias(r.Context(), name, alias)
	if err != nil {
		return 0, nil, err
	}

	routing, _ := body["RoutingConfig"].(object)
	if weights, given := routing["AdditionalVersionWeights"].(object); before.Weights != nil &&
		(!given || len(weights) > 0) {
		return 0, nil, &refusal{400, "InvalidParameterValueException", "the weights would stay"}
	}

	a, err := s.account.Functions().
		MoveAlias(r.Context(), name, alias, str(body, "FunctionVersion"), revisionOf(body, before.RevisionID))
	return 200, aliasJSON("arn", a), err
}

func (s *wire) listFunctions(r *http.Request, _ object) (int, any, error) {
	var all []configuration
	for _, v := range s.account.Versions() {
		if v.Version == "$LATEST" || r.URL.Query().Get("FunctionVersion") == "ALL" {
			all = append(all, configurationOf(v))
		}
	}

	page, next := paged(all, r.URL.Query().Get("Marker"))
	return 200, object{"Functions": page, "NextMarker": next}, nil
}

func (s *wire) createFunction(r *http.Request, body object) (int, any, error) {
	name := str(body, "FunctionName")
	if _, err := s.account.Functions().Get(r.Context(), name, ""); err == nil {
		return 0, nil, conflict("Function already exist: %s", name)
	}

	code, _ := body["Code"].(object)
	zip, err := base64.StdEncoding.DecodeString(str(code, "ZipFile"))
	runtime := str(body, "Runtime")
	architectures := list(body, "Architectures")
	if err != nil || str(body, "Role") != probeRole || len(architectures) != 1 {
		return 0, nil, &refusal{400, "InvalidParameterValueException", fmt.Sprint(body)}
	}

	target, err := pydist.ParseTarget(runtime + "-" + architectures[0])
	if err != nil {
		return 0, nil, &refusal{400, "InvalidParameterValueException", err.Error()}
	}

	memory, _ := body["MemorySize"].(float64)
	timeout, _ := body["Timeout"].(float64)
	err = s.account.Sandboxes().
		Create(r.Context(),
			workflow.Sandbox{
				Name:    name,
				Target:  target,
				Zip:     zip,
				Handler: str(body, "Handler"),
				Layers:  list(body, "Layers"),
				Memory:  int(memory),
				Timeout: time.Duration(timeout) * time.Second,
			})
	if err != nil {
		return 0, nil, err
	}

	s.mu.Lock()
	s.state[name] = looks
	s.mu.Unlock()
	v, err := s.version(r, name, "")
	c := configurationOf(v)
	c.State = "Pending"
	return 201, c, err
}

func (s *wire) deleteFunction(r *http.Request, _ object) (int, any, error) {
	name := r.PathValue("function")
	qualifier := r.URL.Query().Get("Qualifier")
	if _, err := s.account.Functions().Get(r.Context(), name, qualifier); err != nil {
		return 0, nil, err
	}

	if qualifier == "" {
		return 204, nil, s.account.Sandboxes().Delete(r.Context(), name)
	}

	err := s.account.Functions().DeleteVersion(r.Context(), name, qualifier)
	if fault.CodeOf(err) == fault.Changed {
		err = conflict("Function was unable to be deleted due to the following reason: it has aliases")
	}

	return 204, nil, err
}

func (s *wire) invoke(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("function")
	s.mu.Lock()
	pending := s.state[name] > 0
	s.mu.Unlock()
	if pending {
		conflict("The operation cannot be performed at this time. The function is currently in the following state: " +
			"Pending").(*refusal).write(w)
		return
	}

	payload, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("X-Amz-Invocation-Type") != "RequestResponse" ||
		r.Header.Get("X-Amz-Log-Type") != "Tail" {
		refusal{400, "InvalidRequestContentException", fmt.Sprint(r.Header)}.write(w)
		return
	}

	i, err := s.account.Sandboxes().Invoke(r.Context(), name, payload)
	if err != nil {
		refused(err).write(w)
		return
	}

	if i.Error != "" {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
	}

	w.Header().Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString([]byte(i.LogTail)))
	_, _ = w.Write(i.Payload)
}

func (s *wire) getResources(r *http.Request, body object) (int, any, error) {
	if target := r.Header.Get("X-Amz-Target"); target != "ResourceGroupsTaggingAPI_20170126.GetResources" ||
		!slices.Equal(list(body, "ResourceTypeFilters"), []string{"lambda:function"}) {
		return 0, nil, &refusal{400, "InvalidParameterException", target}
	}

	tags := map[string]string{}
	filters, _ := body["TagFilters"].([]any)
	for _, f := range filters {
		tags[str(f.(object), "Key")] = strings.Join(list(f.(object), "Values"), "|")
	}

	arns, err := s.account.Functions().Tagged(r.Context(), tags)
	slices.Reverse(arns) // the API has no order
	var all []object
	for _, arn := range arns {
		all = append(all, object{"ResourceARN": arn})
	}

	from, _ := strconv.Atoi(str(body, "PaginationToken"))
	next := ""
	if from+1 < len(all) {
		next = strconv.Itoa(from + 1)
	}

	return 200, object{
		"ResourceTagMappingList": all[min(from, len(all)):min(from+1, len(all))],
		"PaginationToken":        next,
	}, err
}
