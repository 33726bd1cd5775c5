"""Execute one import in this process: phases, heartbeat, leadership, outages, its end."""
