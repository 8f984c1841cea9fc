sent = []


def send_everything_to_cpu():
    sent.append("all")
