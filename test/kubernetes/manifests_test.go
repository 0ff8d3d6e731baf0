// Package kubernetes proves that the manifests of deploy/kubernetes are what Kubernetes
// understands, and that they fit each other and the node. It is a module of its own: who
// uses roomcast does not carry Kubernetes' types.
package kubernetes

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

var folder = filepath.Join("..", "..", "deploy", "kubernetes")

// manifests are all objects, by their types.
type manifests struct {
	deployment apps.Deployment
	service    core.Service
	nodes      core.Service
	disruption policy.PodDisruptionBudget
	autoscaler autoscaling.HorizontalPodAutoscaler
	ingress    networking.Ingress
}

// load reads all files, strictly: a field that Kubernetes does not know, or that has
// another type, or that is there twice, is an error.
func load(t *testing.T) *manifests {
	t.Helper()
	m := &manifests{}
	for file, object := range map[string]any{
		"deployment.yaml": &m.deployment,
		"service.yaml":    &m.service,
		"nodes.yaml":      &m.nodes,
		"disruption.yaml": &m.disruption,
		"autoscaler.yaml": &m.autoscaler,
		"ingress.yaml":    &m.ingress,
	} {
		decode(t, file, object)
	}
	return m
}

func decode(t *testing.T, file string, object any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, file))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, object); err != nil {
		t.Errorf("%s: %v", file, err)
	}
}

func TestManifests_MistakesAreSeen(t *testing.T) {
	for name, text := range map[string]string{
		"a field that is misspelt":    "spec: {minReadySecond: 5}",
		"a text for a number":         "spec: {minReadySeconds: five}",
		"a field in the wrong place":  "minReadySeconds: 5",
		"a field that is there twice": "spec: {minReadySeconds: 5}\nspec: {}",
	} {
		if err := yaml.UnmarshalStrict([]byte(text), new(apps.Deployment)); err == nil {
			t.Errorf("%s is not seen", name)
		}
	}
}

func TestManifests_AreOfTheKindsThatTheySay(t *testing.T) {
	m := load(t)
	for got, want := range map[string]string{
		m.deployment.APIVersion + " " + m.deployment.Kind: "apps/v1 Deployment",
		m.service.APIVersion + " " + m.service.Kind:       "v1 Service",
		m.nodes.APIVersion + " " + m.nodes.Kind:           "v1 Service",
		m.disruption.APIVersion + " " + m.disruption.Kind: "policy/v1 PodDisruptionBudget",
		m.autoscaler.APIVersion + " " + m.autoscaler.Kind: "autoscaling/v2 HorizontalPodAutoscaler",
		m.ingress.APIVersion + " " + m.ingress.Kind:       "networking.k8s.io/v1 Ingress",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestManifests_AreAllInTheKustomization(t *testing.T) {
	var k struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Resources  []string `json:"resources"`
	}
	decode(t, "kustomization.yaml", &k)
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range files {
		if name := filepath.Base(f); name != "kustomization.yaml" {
			want = append(want, name)
		}
	}
	if slices.Sort(k.Resources); !slices.Equal(k.Resources, want) {
		t.Errorf("the kustomization has %v, the folder %v", k.Resources, want)
	}
}

func TestManifests_SelectTheSamePods(t *testing.T) {
	m := load(t)
	labels := m.deployment.Spec.Template.Labels
	if len(labels) == 0 {
		t.Fatal("the pods have no labels")
	}
	for name, selector := range map[string]map[string]string{
		"deployment": m.deployment.Spec.Selector.MatchLabels,
		"service":    m.service.Spec.Selector,
		"nodes":      m.nodes.Spec.Selector,
		"disruption": m.disruption.Spec.Selector.MatchLabels,
		"spread":     m.deployment.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
	} {
		if !maps.Equal(selector, labels) {
			t.Errorf("%s selects %v, the pods have %v", name, selector, labels)
		}
	}
	if to := m.autoscaler.Spec.ScaleTargetRef; to.Kind != "Deployment" || to.Name != m.deployment.Name {
		t.Errorf("the autoscaler scales %s %s", to.Kind, to.Name)
	}
	if m.deployment.Spec.Replicas != nil {
		t.Error("the deployment sets the number of nodes: each time it is applied it would undo what the autoscaler has done")
	}
}

func TestManifests_NamePortsThatExist(t *testing.T) {
	m := load(t)
	node := m.deployment.Spec.Template.Spec.Containers[0]
	ports := map[string]int32{}
	for _, p := range node.Ports {
		ports[p.Name] = p.ContainerPort
	}
	if ports["http"] != 3000 || ports["admin"] != 9090 {
		t.Errorf("the node has the ports %v", ports)
	}
	if p := node.ReadinessProbe.HTTPGet; p.Path != "/readyz" || p.Port.StrVal != "admin" {
		t.Errorf("readiness is asked at %s of %s", p.Path, p.Port.String())
	}
	if p := node.LivenessProbe.HTTPGet; p.Path != "/livez" || p.Port.StrVal != "admin" {
		t.Errorf("liveness is asked at %s of %s", p.Path, p.Port.String())
	}
	for _, s := range []core.Service{m.service, m.nodes} {
		for _, p := range s.Spec.Ports {
			if _, ok := ports[p.TargetPort.StrVal]; !ok {
				t.Errorf("%s sends to the port %q", s.Name, p.TargetPort.StrVal)
			}
		}
	}
	if m.nodes.Spec.ClusterIP != core.ClusterIPNone || !m.nodes.Spec.PublishNotReadyAddresses {
		t.Error("a node that drains cannot be found by the others")
	}
	if len(m.service.Spec.Ports) != 1 || m.service.Spec.Ports[0].TargetPort.StrVal != "http" {
		t.Error("clients reach more than the Socket.IO endpoint")
	}
	if to := m.ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service; to.Name != m.service.Name || to.Port.Name != m.service.Spec.Ports[0].Name {
		t.Errorf("the ingress sends to %s, port %s", to.Name, to.Port.Name)
	}
}

// A node has the time that it needs to send its clients elsewhere.
func TestManifests_LeaveTimeToDrain(t *testing.T) {
	const drain, end = 10, 5 // seconds: the default of --drain, and what the node takes at most after it
	pod := load(t).deployment.Spec.Template.Spec
	before := pod.Containers[0].Lifecycle.PreStop.Sleep.Seconds // the image has no program that could sleep
	if grace := *pod.TerminationGracePeriodSeconds; before < 2 || grace <= before+drain+end {
		t.Errorf("%d s of grace for %d s before the end, %d s to drain and %d s to end", grace, before, drain, end)
	}
}

func TestManifests_ScaleOnConnections(t *testing.T) {
	spec := load(t).autoscaler.Spec
	if *spec.MinReplicas < 2 || len(spec.Metrics) != 1 || spec.Metrics[0].Pods == nil || spec.Metrics[0].Pods.Metric.Name != "sio_connections" {
		t.Errorf("got %+v, want at least two nodes, by sio_connections", spec)
	}
}

// Each variable is a flag of the node, and where it is comes from the pod itself.
func TestManifests_SetFlagsThatExist(t *testing.T) {
	help, err := os.ReadFile(filepath.Join("..", "..", "cmd", "node", "testdata", "help-serve.txt"))
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]core.EnvVar{}
	for _, v := range load(t).deployment.Spec.Template.Spec.Containers[0].Env {
		set[v.Name] = v
		name, ours := strings.CutPrefix(v.Name, "ROOMCAST_")
		if flag := "--" + strings.ToLower(strings.ReplaceAll(name, "_", "-")); ours && !strings.Contains(string(help), flag) {
			t.Errorf("%s: there is no flag %s", v.Name, flag)
		}
	}
	if from := set["POD_IP"].ValueFrom; from == nil || from.FieldRef == nil || from.FieldRef.FieldPath != "status.podIP" {
		t.Error("POD_IP is not the pod's address")
	}
	if got := set["ROOMCAST_ADVERTISE"].Value; got != "http://$(POD_IP):3000" {
		t.Errorf("the node advertises %q", got)
	}
	for _, secret := range []string{"ROOMCAST_CLUSTER_SECRET", "ROOMCAST_REDIS"} {
		if from := set[secret].ValueFrom; from == nil || from.SecretKeyRef == nil {
			t.Errorf("%s does not come from a Secret", secret)
		}
	}
}
