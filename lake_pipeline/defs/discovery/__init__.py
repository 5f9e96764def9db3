"""Discovery: the asset that lists the landing zones and the sensor that reads the event queue."""
