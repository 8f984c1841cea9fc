import threading

queue_lock = threading.Lock()  # the real one keeps the order of arrival too, and is as little reentrant
