sent = 0


def send_everything_to_cpu():
    global sent
    sent += 1
