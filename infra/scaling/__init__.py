"""The number of nodes for production jobs follows the queue of jobs; placing jobs on nodes is Kubernetes' work."""
