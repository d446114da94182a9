"""Where things stand in a picture: nodes, devices, edges and markers, in diagram units."""
