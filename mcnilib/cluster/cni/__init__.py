"""The CNI plugins: what each writes into the namespaces of pods and nodes."""
