"""Tables in and out, detection, panels, calendars, windows, scaling, synthetic series."""
