module refsys.tool/kube-state-metrics

go 1.26

require k8s.io/kube-state-metrics/v2 v2.15.0
require k8s.io/client-go v0.35.4
require k8s.io/component-base v0.35.4
require k8s.io/sample-controller v0.35.4
