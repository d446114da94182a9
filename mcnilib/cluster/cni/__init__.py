"""The CNI plugins: what each writes into the namespaces of pods and nodes.

A plugin is a module with one value that `add`s a pod, as Multus calls its ADD (`Plugin` in `mcnilib.cluster.event`).
Which plugins a kind of pod has, in which order, and the devices they make, says `WIRING` in `mcnilib.cluster.spec`;
with which options, `PLUGINS` in `mcnilib.cluster.build`.
"""
